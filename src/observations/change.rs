//! One difference between two states, as a report tells it.

use serde::{Deserialize, Serialize};

use crate::identifiers::RoleName;

/// What changed from one state to another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// In which way.
    pub kind: ChangeKind,
    /// What it changed on, in psql's words: `table sales.orders`, `column total of table sales.orders`.
    pub object: String,
    /// Whom it concerns, where it concerns one role.
    pub role: Option<RoleName>,
    /// What exactly: a privilege, or what was and what is now.
    pub detail: String,
    /// The statement that made it, where that is known.
    pub statement: Option<u32>,
    /// The statements that take it back, where there are some.
    #[serde(skip)]
    pub(crate) undo: Option<Vec<String>>,
}

/// The statements that take a change back, to be carried out by a superuser in the state after it; none where no
/// statement can, as with a dropped table's rows or a password. Several changes are taken back from the last to the
/// first. A change that was read from a report knows none.
pub fn undo(change: &Change) -> Option<&[String]> {
    change.undo.as_deref()
}

impl ChangeKind {
    /// Whether it tells of something that is still running, which the script's own session is too while it lasts.
    pub fn is_left(self) -> bool {
        matches!(
            self,
            Self::SessionLeft
                | Self::TransactionLeftOpen
                | Self::LockLeft
                | Self::PreparedTransactionLeft
                | Self::ReplicationSlotLeft
                | Self::TemporaryObjectLeft
        )
    }
}

/// The ways in which a state changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // Each says itself.
pub enum ChangeKind {
    // What a role can do, whatever the path.
    AccessLost,
    AccessGained,
    // What lists of privileges say.
    PrivilegeLost,
    PrivilegeGained,
    DefaultPrivilegesChanged,
    OwnerChanged,
    // Roles.
    RoleCreated,
    RoleDropped,
    RoleRecreated,
    RoleRenamed,
    RoleAttributeChanged,
    RoleSettingChanged,
    PasswordChanged,
    MembershipGained,
    MembershipLost,
    MembershipChanged,
    // Any kind of object.
    ObjectCreated,
    ObjectDropped,
    ObjectRecreated,
    ObjectRenamed,
    ObjectMoved,
    OptionsChanged,
    DefinitionChanged,
    // Tables and what belongs to them.
    ColumnAdded,
    ColumnDropped,
    ColumnRenamed,
    ColumnTypeChanged,
    ColumnDefaultChanged,
    ColumnNullabilityChanged,
    ColumnChanged,
    ConstraintAdded,
    ConstraintDropped,
    ConstraintChanged,
    IndexAdded,
    IndexDropped,
    IndexChanged,
    TriggerAdded,
    TriggerDropped,
    TriggerEnabled,
    TriggerDisabled,
    TriggerChanged,
    RuleAdded,
    RuleDropped,
    RuleEnabled,
    RuleDisabled,
    RuleChanged,
    PolicyAdded,
    PolicyDropped,
    PolicyChanged,
    RowSecurityChanged,
    PartitionAttached,
    PartitionDetached,
    // Sequences and types.
    SequenceChanged,
    SequenceNearEnd,
    SequenceMovedBack,
    EnumLabelAdded,
    EnumLabelRenamed,
    TypeChanged,
    // The database and the server.
    DatabaseChanged,
    SettingChanged,
    ExtensionChanged,
    EventTriggerEnabled,
    EventTriggerDisabled,
    EventTriggerChanged,
    PublicationChanged,
    SubscriptionChanged,
    UserMappingChanged,
    // What was left running.
    SessionLeft,
    TransactionLeftOpen,
    LockLeft,
    PreparedTransactionLeft,
    ReplicationSlotLeft,
    TemporaryObjectLeft,
}
