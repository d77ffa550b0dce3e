//! What is demanded of one column of one row.

use std::sync::Arc;

use super::kinds::Kind;
use super::pattern::Pattern;
use super::scale;

/// What is demanded of one column.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Wish {
    /// `true`: NULL; `false`: anything else.
    pub(super) null: Option<bool>,
    /// Bounds on the type's scale, both included.
    pub(super) lo: Option<i64>,
    pub(super) hi: Option<i64>,
    /// A divisor and what remains.
    pub(super) step: Option<(i64, i64)>,
    pub(super) one_of: Option<Vec<String>>,
    pub(super) none_of: Vec<String>,
    pub(super) min_length: usize,
    pub(super) max_length: Option<usize>,
    /// Patterns that it must match, and others that it must not.
    pub(super) like: Vec<Arc<Pattern>>,
    pub(super) unlike: Vec<Arc<Pattern>>,
    pub(super) contains: Vec<String>,
    pub(super) prefix: Option<String>,
    pub(super) upper: bool,
    pub(super) lower: bool,
}

impl Wish {
    pub(super) fn at_least(&mut self, value: i64) {
        self.lo = Some(self.lo.map_or(value, |lo| lo.max(value)));
    }

    pub(super) fn at_most(&mut self, value: i64) {
        self.hi = Some(self.hi.map_or(value, |hi| hi.min(value)));
    }

    pub(super) fn only(&mut self, values: Vec<String>) {
        self.one_of = Some(match self.one_of.take() {
            Some(old) => old.into_iter().filter(|v| values.contains(v)).collect(),
            None => values,
        });
    }

    /// Adds `value op bound` to a kind with a scale.
    pub(super) fn bound(&mut self, op: &str, value: i64) {
        match op {
            "<" => self.at_most(value.saturating_sub(1)),
            "<=" => self.at_most(value),
            ">" => self.at_least(value.saturating_add(1)),
            ">=" => self.at_least(value),
            "=" => {
                self.at_least(value);
                self.at_most(value);
            }
            _ => {}
        }
    }

    pub(super) fn length(&mut self, op: &str, value: i64) {
        let length = |value: i64| usize::try_from(value.max(0)).unwrap_or_default();
        let max = match op {
            "<" => Some(length(value.saturating_sub(1))),
            "<=" | "=" => Some(length(value)),
            _ => None,
        };
        if let Some(max) = max {
            self.max_length = Some(self.max_length.map_or(max, |old| old.min(max)));
        }
        let min = match op {
            ">" => length(value.saturating_add(1)),
            ">=" | "=" => length(value),
            "<>" if value == 0 => 1,
            _ => 0,
        };
        self.min_length = self.min_length.max(min);
    }

    /// Whether the text matches what it must, and nothing that it must not. What cannot be told is let pass.
    pub(super) fn matches(&self, text: &str) -> bool {
        self.like.iter().all(|pattern| pattern.matches(text) != Some(false))
            && self.unlike.iter().all(|pattern| pattern.matches(text) != Some(true))
    }

    /// Whether nothing is demanded but, perhaps, that there is a value.
    fn any_value(&self) -> bool {
        self.null != Some(true)
            && self.lo.is_none()
            && self.hi.is_none()
            && self.one_of.is_none()
            && self.none_of.is_empty()
            && self.like.is_empty()
            && self.unlike.is_empty()
    }

    /// Whether a value that comes from elsewhere may be used.
    pub(super) fn allows(&self, kind: &Kind, value: Option<&str>) -> bool {
        let Some(value) = value else {
            return self.null != Some(false);
        };
        if self.any_value() {
            return true;
        }
        let number = scale::read(kind, value);
        self.null != Some(true)
            && !self.none_of.iter().any(|not| not == value)
            && self.matches(value)
            && self.one_of.as_ref().is_none_or(|of| of.iter().any(|one| one == value))
            && number.is_none_or(|n| self.lo.is_none_or(|lo| n >= lo) && self.hi.is_none_or(|hi| n <= hi))
    }
}
