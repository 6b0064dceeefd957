//! What a text says about itself: an instruction for a language model, a list of what is not
//! wanted.
//!
//! In: texts of a graph. Out: yes or no, or the part that is the prompt. Promises: nothing but the
//! words is looked at, in time that grows with the text.

/// Whether a text tells a language model what to do, rather than what a picture shows.
pub(super) fn is_instruction(text: &str) -> bool {
    const BEGINS: [&str; 18] = [
        "you are",
        "you're",
        "you will",
        "your task",
        "your job",
        "your role",
        "act as",
        "as an ai",
        "rewrite",
        "expand the",
        "enhance the",
        "describe the",
        "describe this",
        "write a",
        "generate a prompt",
        "create a prompt",
        "convert the",
        "please ",
    ];
    const SAYS: [&str; 10] = [
        "your task",
        "the user's prompt",
        "user prompt",
        "the user will",
        "prompt engineer",
        "output only",
        "respond with",
        "respond only",
        "do not include",
        "step by step",
    ];
    let start: String = text.trim_start().chars().take(4000).collect::<String>().to_lowercase();
    BEGINS.iter().any(|begin| start.starts_with(begin))
        || SAYS.iter().filter(|says| start.contains(*says)).count() >= 2
}

/// The prompt behind the words that a text encoder with a language model wants before it, as
/// Lumina's has them.
pub(super) fn prompt_of(text: &str) -> Option<&str> {
    let (before, after) = text.split_once("<Prompt Start>")?;
    (is_instruction(before) && !after.trim().is_empty()).then(|| after.trim())
}

/// Whether a text lists what a picture is not to show.
pub(super) fn is_negative(text: &str) -> bool {
    const WORDS: [&str; 16] = [
        "worst quality",
        "low quality",
        "lowres",
        "bad anatomy",
        "bad hands",
        "deformed",
        "blurry",
        "watermark",
        "ugly",
        "disfigured",
        "extra fingers",
        "mutated",
        "jpeg artifacts",
        "text, ",
        "embedding:",
        "signature",
    ];
    let text = text.to_lowercase();
    WORDS.iter().filter(|word| text.contains(*word)).count() >= 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instructions_and_negatives_are_told() {
        assert!(is_instruction("You are a helper. Your task is to make prompts longer."));
        assert!(!is_instruction("a fox, you are here written on a sign"));
        let text = "You are an assistant that draws. <Prompt Start> a red fox ";
        assert_eq!(prompt_of(text), Some("a red fox"));
        assert_eq!(prompt_of("a fox <Prompt Start> x"), None);
        assert!(is_negative("Blurry, lowres") && !is_negative("a cat with a watermark"));
    }
}
