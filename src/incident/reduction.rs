//! Delta debugging: which of many parts can be left out while something still happens (Zeller and Hildebrandt, 2002;
//! complements only).
//!
//! Pure: says what to try next and is told what came of it. Later parts are left out first, since they build on earlier
//! ones. The result is minimal in that no single part of it can be left out.

/// The search for the parts that are needed.
#[derive(Debug, Clone)]
pub struct Reduction {
    kept: Vec<usize>,
    /// How many pieces `kept` is cut into, and how many of them were tried.
    pieces: usize,
    tried: usize,
    /// What is being tried.
    candidate: Option<Vec<usize>>,
    over: bool,
}

impl Reduction {
    /// A search among so many parts.
    pub fn of(parts: usize) -> Self {
        // First all of them at once.
        Self { kept: (0..parts).collect(), pieces: 1, tried: 0, candidate: None, over: parts == 0 }
    }

    /// The parts to try with; none: the search has ended.
    pub fn question(&mut self) -> Option<&[usize]> {
        if self.over {
            return None;
        }
        let piece = self.kept.len().div_ceil(self.pieces);
        let end = self.kept.len().saturating_sub(self.tried * piece);
        let start = end.saturating_sub(piece);
        let left = self.kept.iter().enumerate().filter(|(at, _)| !(start..end).contains(at));
        self.candidate = Some(left.map(|(_, part)| *part).collect());
        self.candidate.as_deref()
    }

    /// Whether it still happens with the parts that were to be tried.
    pub fn answer(&mut self, still: bool) {
        let Some(candidate) = self.candidate.take() else { return };
        if still {
            // The pieces before stay as long as they were.
            let piece = self.kept.len().div_ceil(self.pieces);
            self.kept = candidate;
            self.pieces = self.kept.len().div_ceil(piece).max(1);
        } else {
            self.tried += 1;
        }
        if self.kept.is_empty() {
            self.over = true;
        } else if self.tried >= self.pieces {
            self.over = self.pieces >= self.kept.len();
            self.pieces = (self.pieces * 2).min(self.kept.len());
            self.tried = 0;
        }
    }

    /// The parts that are needed, as far as is known.
    pub fn kept(&self) -> &[usize] {
        &self.kept
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches with a question, and counts how often it is asked.
    fn searched(parts: usize, mut still: impl FnMut(&[usize]) -> bool) -> (Vec<usize>, usize) {
        let (mut reduction, mut asked) = (Reduction::of(parts), 0);
        while let Some(candidate) = reduction.question() {
            let answer = still(candidate);
            reduction.answer(answer);
            asked += 1;
            assert!(asked < 10_000, "it does not end");
        }
        (reduction.kept().to_vec(), asked)
    }

    #[test]
    fn what_is_needed_is_found() {
        for needed in [vec![], vec![0], vec![7], vec![3, 4], vec![0, 5, 11]] {
            for parts in [12, 13, 40, 100] {
                let all = |kept: &[usize]| needed.iter().all(|part| kept.contains(part));
                assert_eq!(searched(parts, all).0, needed, "{parts}");
            }
        }
        assert_eq!(searched(0, |_| true).0, Vec::<usize>::new());
        assert_eq!(searched(3, |_| false).0, [0, 1, 2]);
    }

    #[test]
    fn parts_that_build_on_earlier_ones_go_with_them() {
        // Each even part is needed by the odd one after it; 4 is needed.
        let holds = |kept: &[usize]| {
            kept.contains(&4) && kept.iter().all(|part| part % 2 == 0 || kept.contains(&(part - 1)))
        };
        assert_eq!(searched(20, holds).0, [4]);
    }

    #[test]
    fn few_questions_find_one_of_many() {
        let (kept, asked) = searched(1000, |kept| kept.contains(&617));
        assert_eq!(kept, [617]);
        assert!(asked < 40, "{asked}");
    }

    #[test]
    fn no_single_part_can_be_left_out_afterwards() {
        // Two of three groups must be there.
        let holds = |kept: &[usize]| [0, 10, 20].iter().filter(|part| kept.contains(part)).count() >= 2;
        let (kept, _) = searched(30, holds);
        assert_eq!(kept.len(), 2, "{kept:?}");
    }
}
