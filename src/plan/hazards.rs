//! Which hazards are tried, as the file and the command line say.

use super::file::HazardsSection;

/// A kind of hazard that can be looked for or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum HazardName {
    /// The first run is cut off after each of its statements.
    CrashPoints,
    /// The first run is held open after each of its statements, until the workers stand or pass.
    HeldLocks,
    /// Two people run the script at the same time.
    AtOnce,
    /// What the state shows: passwords that expire, limits that are near, invalid indexes.
    Latent,
    /// All of them, also where a worker is broken.
    All,
    /// None of them.
    None,
}

/// When a kind of hazard is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum When {
    /// Not at all.
    Never,
    /// When no worker is broken: a script that breaks one is mended first, and is another one then.
    #[default]
    Unbroken,
    /// In any case.
    Always,
}

impl When {
    /// Whether it is looked for in a rehearsal that broke a worker, or did not.
    pub fn now(self, broken: bool) -> bool {
        match self {
            Self::Never => false,
            Self::Unbroken => !broken,
            Self::Always => true,
        }
    }
}

/// Which hazards are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hazards {
    /// The script cut off in the middle, in copies.
    pub crash_points: When,
    /// The script held open in the middle, in a copy.
    pub held_locks: When,
    /// The script run by two at once, in a copy.
    pub at_once: When,
    /// What the state shows, which costs no copy.
    pub latent: When,
}

impl Hazards {
    /// None of them.
    pub const NONE: Self = Self {
        crash_points: When::Never,
        held_locks: When::Never,
        at_once: When::Never,
        latent: When::Never,
    };
}

/// What the flag says, else the file, else the default. Where nothing may be replayed, nothing is tried in copies.
pub(super) fn chosen(flag: &[HazardName], file: &HazardsSection, replay: bool) -> Hazards {
    let one = |name: HazardName, stated: Option<bool>, default: When| {
        if flag.contains(&HazardName::All) || flag.contains(&name) {
            return When::Always;
        }
        if !flag.is_empty() {
            return When::Never;
        }
        match stated {
            Some(true) => When::Always,
            Some(false) => When::Never,
            None => default,
        }
    };
    let copies = |when: When| if replay { when } else { When::Never };
    Hazards {
        crash_points: copies(one(HazardName::CrashPoints, file.crash_points, When::Unbroken)),
        held_locks: copies(one(HazardName::HeldLocks, file.held_locks, When::Unbroken)),
        at_once: copies(one(HazardName::AtOnce, file.at_once, When::Unbroken)),
        latent: one(HazardName::Latent, file.latent, When::Always),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flag_comes_before_the_file_and_the_file_before_the_default() {
        let file =
            HazardsSection { crash_points: Some(true), latent: Some(false), ..HazardsSection::default() };
        let stated = chosen(&[], &file, true);
        assert_eq!(stated.crash_points, When::Always);
        assert_eq!(stated.held_locks, When::Unbroken);
        assert_eq!(stated.latent, When::Never);
        let flagged = chosen(&[HazardName::Latent], &file, true);
        assert_eq!((flagged.crash_points, flagged.latent), (When::Never, When::Always));
        assert_eq!(chosen(&[HazardName::None], &file, true).latent, When::Never);
        let all = chosen(&[HazardName::All], &HazardsSection::default(), false);
        assert_eq!((all.at_once, all.latent), (When::Never, When::Always));
    }
}
