//! How large the prompts of a run are: what memory is reckoned with.
//!
//! In: the budget of a view, and how many views are shown together. Out: the soft tokens of the
//! largest view, and the tokens that all views of a prompt take. Promises: no prompt takes more of
//! its images; its words are not counted.

use crate::preprocess::{CLIP_BUDGET, CLIP_FRAMES};
use crate::record::Budget;

/// Tokens around the soft tokens of a video's frame: the two that enclose them, its time (a token a
/// digit, five digits of minutes) and blanks.
const AROUND_FRAME: usize = 2 + 8 + 1;

/// The images of the largest prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PromptSize {
    budget: Budget,
    image_tokens: usize,
}

impl PromptSize {
    /// A view of up to `budget`.
    pub fn of_view(budget: Budget) -> Self {
        Self::of_views(budget, 1)
    }

    /// So many views of up to `budget`, shown together.
    pub(super) fn of_views(budget: Budget, views: usize) -> Self {
        Self { budget, image_tokens: views * budget.soft_tokens() as usize }
    }

    /// A whole video.
    pub(super) fn of_clip() -> Self {
        let frame = CLIP_BUDGET.soft_tokens() as usize + AROUND_FRAME;
        Self { budget: CLIP_BUDGET, image_tokens: CLIP_FRAMES * frame }
    }

    /// The soft tokens of the largest view.
    pub(super) fn soft_tokens(self) -> u64 {
        u64::from(self.budget.soft_tokens())
    }

    /// Tokens of all its images.
    pub(super) fn image_tokens(self) -> usize {
        self.image_tokens
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::time_stamp;
    use crate::prompt::{Conversation, Prompter};

    #[test]
    fn no_clip_takes_more_than_is_reckoned() {
        let fixture =
            std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/variants/E2B");
        let prompter = Prompter::open(&fixture).unwrap();
        let query = prompter.query_about_video("", &Conversation::default()).unwrap();
        let soft_tokens = CLIP_BUDGET.soft_tokens();
        // Hours of video, shown at one frame a second.
        let stamps: Vec<String> =
            (0..CLIP_FRAMES).map(|frame| time_stamp(600_000 - frame, 1.0)).collect();
        let words = query.about_frames(&stamps[..0], soft_tokens).unwrap().token_count(soft_tokens);
        let all = query.about_frames(&stamps, soft_tokens).unwrap().token_count(soft_tokens);
        let reckoned = PromptSize::of_clip().image_tokens();
        assert!(all - words <= reckoned, "{} of {reckoned} tokens", all - words);
        assert!(all - words > reckoned * 9 / 10, "{} of {reckoned} tokens", all - words);
        assert_eq!(PromptSize::of_view(Budget::MAX).image_tokens(), 1120);
        assert_eq!(PromptSize::of_views(Budget::USUAL, 2).image_tokens(), 560);
    }
}
