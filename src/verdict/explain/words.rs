//! Changes in words, each as what a statement did: `it takes INSERT on table sales.orders from writers`.

use crate::identifiers::RoleName;
use crate::observations::{Change, ChangeKind};

/// Changes of the same kind on the same thing, told as one.
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
    groups.iter().filter_map(|group| in_words(group)).collect()
}

fn is_privilege(kind: ChangeKind) -> bool {
    matches!(kind, ChangeKind::PrivilegeLost | ChangeKind::PrivilegeGained)
}

fn in_words(group: &[&Change]) -> Option<String> {
    let Change { kind, object, role, detail, .. } = *group.first()?;
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
        ChangeKind::ObjectRenamed | ChangeKind::RoleRenamed | ChangeKind::ColumnRenamed => {
            format!("it renames {arrow}")
        }
        ChangeKind::ObjectMoved => format!("it moves {arrow}"),
        ChangeKind::OwnerChanged => format!("it changes the owner of {object} from {arrow}"),
        ChangeKind::RoleAttributeChanged => format!("it alters {object}: {arrow}"),
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
        ChangeKind::DefaultPrivilegesChanged
        | ChangeKind::MembershipChanged
        | ChangeKind::OptionsChanged
        | ChangeKind::ColumnChanged
        | ChangeKind::ConstraintChanged
        | ChangeKind::IndexChanged
        | ChangeKind::TriggerChanged
        | ChangeKind::RuleChanged
        | ChangeKind::PolicyChanged
        | ChangeKind::SequenceChanged
        | ChangeKind::SequenceNearEnd
        | ChangeKind::SequenceMovedBack
        | ChangeKind::EnumLabelAdded
        | ChangeKind::EnumLabelRenamed
        | ChangeKind::TypeChanged
        | ChangeKind::DatabaseChanged
        | ChangeKind::SettingChanged
        | ChangeKind::ExtensionChanged
        | ChangeKind::EventTriggerChanged
        | ChangeKind::PublicationChanged
        | ChangeKind::SubscriptionChanged
        | ChangeKind::UserMappingChanged
        | ChangeKind::TransactionLeftOpen
        | ChangeKind::LockLeft
        | ChangeKind::PreparedTransactionLeft
        | ChangeKind::ReplicationSlotLeft
        | ChangeKind::TemporaryObjectLeft => {
            let kind = serde_json::to_value(kind).ok();
            let words = kind.as_ref().and_then(|kind| kind.as_str()).unwrap_or_default().replace('_', " ");
            format!("{words}: {object}{}", in_brackets(&arrow))
        }
    })
}

fn in_brackets(detail: &str) -> String {
    if detail.is_empty() { String::new() } else { format!(" ({})", one_line(detail)) }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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
