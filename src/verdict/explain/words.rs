//! Changes in words, each as what a statement did: `it takes INSERT on table sales.orders from writers`.

use crate::identifiers::RoleName;
use crate::observations::{Change, ChangeKind};

/// Things of which the same is told in one sentence; of more it is said how many.
const LISTED: usize = 3;

/// Changes of the same kind on the same thing, or the same on several things, told as one.
pub(super) fn told(changes: &[&Change]) -> Vec<String> {
    let mut groups: Vec<Vec<&Change>> = Vec::new();
    for change in changes {
        let alike = |group: &&mut Vec<&Change>| {
            group.first().is_some_and(|first| {
                is_privilege(change.kind)
                    && (first.kind, &first.object, &first.role) == (change.kind, &change.object, &change.role)
            })
        };
        match groups.iter_mut().find(alike) {
            Some(group) => group.push(change),
            None => groups.push(vec![change]),
        }
    }
    let mut alike: Vec<(&Vec<&Change>, Vec<&str>)> = Vec::new();
    for group in &groups {
        let Some(first) = group.first() else { continue };
        match alike.iter_mut().find(|(other, _)| says_the_same(other, group)) {
            Some((_, objects)) => objects.push(&first.object),
            None => alike.push((group, vec![&first.object])),
        }
    }
    alike.iter().filter_map(|(group, objects)| in_words(group, &several(objects))).collect()
}

/// Whether two groups differ in nothing but the object, where the sentence names nothing of it but that.
fn says_the_same(one: &[&Change], other: &[&Change]) -> bool {
    let details = |group: &[&Change]| group.iter().map(|change| change.detail.clone()).collect::<Vec<_>>();
    let (Some(first), Some(second)) = (one.first(), other.first()) else { return false };
    let privilege = is_privilege(first.kind) && first.role == second.role && details(one) == details(other);
    first.kind == second.kind && (privilege || is_only_named(first.kind))
}

/// `a`, `a, b and c`, `a, b, c and 2 more`.
pub(super) fn several(objects: &[&str]) -> String {
    let Some((told, more)) = objects.split_at_checked(LISTED).filter(|(_, more)| more.len() > 1) else {
        return list(objects);
    };
    format!("{} and {} more", told.join(", "), more.len())
}

fn is_only_named(kind: ChangeKind) -> bool {
    matches!(
        kind,
        ChangeKind::ObjectCreated
            | ChangeKind::ObjectDropped
            | ChangeKind::ColumnAdded
            | ChangeKind::ColumnDropped
            | ChangeKind::ConstraintDropped
            | ChangeKind::IndexAdded
            | ChangeKind::IndexDropped
            | ChangeKind::TriggerAdded
            | ChangeKind::TriggerDropped
            | ChangeKind::TriggerDisabled
            | ChangeKind::RuleAdded
            | ChangeKind::RuleDropped
            | ChangeKind::RuleDisabled
            | ChangeKind::PolicyDropped
    )
}

fn is_privilege(kind: ChangeKind) -> bool {
    matches!(kind, ChangeKind::PrivilegeLost | ChangeKind::PrivilegeGained)
}

fn in_words(group: &[&Change], object: &str) -> Option<String> {
    let Change { kind, role, detail, .. } = *group.first()?;
    let who = role.as_ref().map_or("PUBLIC", RoleName::as_str);
    let details: Vec<&str> = group.iter().map(|change| change.detail.as_str()).collect();
    let arrow = detail.replace('→', "to");
    Some(match kind {
        ChangeKind::AccessLost => format!("{who} lost {detail} on {object}"),
        ChangeKind::AccessGained => format!("{who} gained {detail} on {object}"),
        ChangeKind::PrivilegeLost => format!("it takes {} on {object} from {who}", list(&details)),
        ChangeKind::PrivilegeGained => format!("it gives {} on {object} to {who}", list(&details)),
        ChangeKind::MembershipLost => format!("it ends a membership: {object} is no longer {detail}"),
        ChangeKind::MembershipGained => format!("it makes a membership: {object} is now {detail}"),
        ChangeKind::ObjectCreated | ChangeKind::RoleCreated => format!("it makes {object}"),
        ChangeKind::ObjectDropped
        | ChangeKind::RoleDropped
        | ChangeKind::ColumnDropped
        | ChangeKind::ConstraintDropped
        | ChangeKind::IndexDropped
        | ChangeKind::TriggerDropped
        | ChangeKind::RuleDropped
        | ChangeKind::PolicyDropped => format!("it drops {object}"),
        ChangeKind::ColumnAdded | ChangeKind::IndexAdded => format!("it adds {object}"),
        ChangeKind::ConstraintAdded | ChangeKind::PolicyAdded => {
            format!("it adds {object}{}", in_brackets(detail))
        }
        ChangeKind::TriggerAdded | ChangeKind::RuleAdded => format!("it adds {object}"),
        ChangeKind::ObjectRecreated => {
            format!("it drops {object} and makes it anew, without what was granted on the old one")
        }
        ChangeKind::RoleRecreated => format!(
            "it drops {object} and makes it anew: a session of the old one has none of its rights, since \
             privileges belong to the role and not to its name"
        ),
        ChangeKind::ObjectRenamed => format!("it renames {arrow}"),
        ChangeKind::RoleRenamed => format!("it renames role {arrow}"),
        ChangeKind::ColumnRenamed => match detail.split_once(" → ") {
            Some((_, new)) => format!("it renames {object} to {new}"),
            None => format!("it renames {object}"),
        },
        ChangeKind::ObjectMoved => match detail.split_once(" → ") {
            // It is told by the name that it has now.
            Some((old, new)) => {
                let was = object.replacen(&format!(" {new}."), &format!(" {old}."), 1);
                format!("it moves {was} to schema {new}")
            }
            None => format!("it moves {object}"),
        },
        ChangeKind::SettingChanged => match object.strip_prefix("setting ") {
            // Whom it has broken knows that it was in force sooner or later.
            Some(setting) => {
                let arrow = arrow.trim_end_matches(" (not in force yet)");
                format!("it sets {setting} for the whole server: {arrow}")
            }
            None => format!("it changes what is set for {object}: {arrow}"),
        },
        ChangeKind::SequenceMovedBack => {
            format!("it moves {object} back from {arrow}, so that it gives again what it has given before")
        }
        ChangeKind::SequenceNearEnd => format!("it brings {object} near its end ({detail})"),
        ChangeKind::EnumLabelRenamed => format!("it renames a label of {object} from {arrow}"),
        ChangeKind::EnumLabelAdded => format!("it adds a label to {object}{}", in_brackets(detail)),
        ChangeKind::ColumnChanged
        | ChangeKind::ConstraintChanged
        | ChangeKind::IndexChanged
        | ChangeKind::TriggerChanged
        | ChangeKind::RuleChanged
        | ChangeKind::PolicyChanged
        | ChangeKind::SequenceChanged
        | ChangeKind::TypeChanged
        | ChangeKind::DatabaseChanged => format!("it changes {object}: {}", one_line(&arrow)),
        ChangeKind::MembershipChanged => format!("it changes a membership: {object}: {arrow}"),
        ChangeKind::PreparedTransactionLeft => format!("it leaves {object} behind{}", in_brackets(detail)),
        ChangeKind::ReplicationSlotLeft => format!("it leaves {object} behind{}", in_brackets(detail)),
        ChangeKind::OwnerChanged => format!("it changes the owner of {object} from {arrow}"),
        ChangeKind::RoleAttributeChanged => {
            // Without a limit it is stored as -1; and nobody has a role expire at a fraction of a second.
            let arrow = arrow.replace("CONNECTION LIMIT -1", "no CONNECTION LIMIT").replace(".000000+", "+");
            format!("it alters {object}: {arrow}")
        }
        ChangeKind::RoleSettingChanged => {
            format!("it changes what {object} begins its sessions with: {arrow}")
        }
        ChangeKind::PasswordChanged => format!("it changes the password of {object}"),
        ChangeKind::ColumnTypeChanged => format!("it changes the type of {object} from {arrow}"),
        ChangeKind::ColumnNullabilityChanged => format!("it makes {object} {detail}"),
        ChangeKind::ColumnDefaultChanged => format!("it changes the default of {object}: {arrow}"),
        ChangeKind::RowSecurityChanged => format!("it changes row security of {object}: {detail}"),
        ChangeKind::DefinitionChanged => format!("it changes {object}: {arrow}"),
        ChangeKind::PartitionDetached => format!("it detaches {object}{}", in_brackets(detail)),
        ChangeKind::PartitionAttached => format!("it attaches {object}{}", in_brackets(detail)),
        ChangeKind::TriggerDisabled | ChangeKind::RuleDisabled | ChangeKind::EventTriggerDisabled => {
            format!("it disables {object}")
        }
        ChangeKind::TriggerEnabled | ChangeKind::RuleEnabled | ChangeKind::EventTriggerEnabled => {
            format!("it enables {object}{}", in_brackets(detail))
        }
        ChangeKind::SessionLeft => format!("it leaves a session of {who} open ({detail})"),
        ChangeKind::OptionsChanged if detail.starts_with("no longer populated") => {
            format!("it leaves {object} empty: it cannot be read until it is refreshed")
        }
        ChangeKind::OptionsChanged if detail.contains('=') => {
            format!("it changes the options of {object} from {arrow}")
        }
        ChangeKind::OptionsChanged => format!("it changes {object}: {arrow}"),
        ChangeKind::DefaultPrivilegesChanged
        | ChangeKind::ExtensionChanged
        | ChangeKind::EventTriggerChanged
        | ChangeKind::PublicationChanged
        | ChangeKind::SubscriptionChanged
        | ChangeKind::UserMappingChanged => format!("it changes {object}{}", in_brackets(&arrow)),
        ChangeKind::TransactionLeftOpen => format!("it leaves a transaction open{}", in_brackets(&arrow)),
        ChangeKind::LockLeft => format!("it leaves a lock on {object}{}", in_brackets(&arrow)),
        ChangeKind::TemporaryObjectLeft => format!("it leaves {object} behind{}", in_brackets(&arrow)),
    })
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({})", one_line(detail)) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `1 row`, `2 rows`.
pub(super) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(in crate::verdict) fn list(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// As the beginning of a sentence. Names stay as they are written.
pub(super) fn sentence(text: &str) -> String {
    match text.strip_prefix("it ") {
        Some(rest) => format!("It {rest}."),
        None => format!("{text}."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(kind: ChangeKind, object: &str, role: Option<&str>, detail: &str) -> Change {
        Change {
            kind,
            object: object.to_owned(),
            role: role.map(RoleName::new),
            detail: detail.to_owned(),
            statement: None,
            undo: None,
        }
    }

    #[test]
    fn the_same_on_several_things_is_one_sentence() {
        let changes = [
            change(ChangeKind::PrivilegeLost, "table a", Some("r"), "INSERT"),
            change(ChangeKind::PrivilegeLost, "table a", Some("r"), "UPDATE"),
            change(ChangeKind::PrivilegeLost, "table b", Some("r"), "INSERT"),
            change(ChangeKind::PrivilegeLost, "table b", Some("r"), "UPDATE"),
            change(ChangeKind::PrivilegeLost, "table c", Some("r"), "SELECT"),
            change(ChangeKind::PrivilegeLost, "table d", None, "SELECT"),
        ];
        assert_eq!(
            told(&changes.iter().collect::<Vec<_>>()),
            [
                "it takes INSERT and UPDATE on table a and table b from r",
                "it takes SELECT on table c from r",
                "it takes SELECT on table d from PUBLIC",
            ]
        );
    }

    #[test]
    fn of_many_things_it_is_said_how_many() {
        let named = |name| change(ChangeKind::ObjectDropped, name, None, "");
        let four = ["table a", "table b", "table c", "table d"].map(named);
        assert_eq!(
            told(&four.iter().collect::<Vec<_>>()),
            ["it drops table a, table b, table c and table d"]
        );
        let five = ["table a", "table b", "table c", "table d", "table e"].map(named);
        assert_eq!(told(&five.iter().collect::<Vec<_>>()), ["it drops table a, table b, table c and 2 more"]);
    }

    #[test]
    fn what_has_a_detail_of_its_own_is_told_by_itself() {
        let limits = ["role a", "role b"]
            .map(|role| change(ChangeKind::RoleAttributeChanged, role, None, "CONNECTION LIMIT -1 → 1"));
        assert_eq!(told(&limits.iter().collect::<Vec<_>>()).len(), 2);
        assert_eq!(told(&[&limits[0]]), ["it alters role a: no CONNECTION LIMIT to 1"]);
    }
}
