//! The turns of a chat whose marks a server dropped.
//!
//! In: a place in the prose behind an answer. Out: the role of another turn that stands there.
//! Promises: only what templates write: a role alone on its line, a role and a colon at the start
//! of a line, a role in capitals and a colon anywhere, or a role right behind a bracket.

/// The speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// A question: it ends the answer before it.
    Other,
    /// The model answers anew.
    Model,
}

/// Roles of the model, in lower case.
const MODELS: [&str; 5] = ["assistant", "model", "ai", "gpt", "bot"];

/// Roles of others.
const OTHERS: [&str; 9] =
    ["user", "human", "system", "instruction", "question", "q", "prompt", "customer", "tool"];

/// Those of them that are a role only if they stand alone on a line.
const ALONE: [&str; 5] = ["user", "human", "assistant", "model", "system"];

/// The longest role, in bytes.
const MAX_LENGTH: usize = 12;

/// The role that the word at `at` names, if a word of prose begins there. The answer before it ends
/// at `answered`.
pub(super) fn role(text: &str, at: usize, answered: usize) -> Option<Role> {
    let rest = &text[at..];
    let near = &rest[..rest.floor_char_boundary(MAX_LENGTH)];
    let word = &near[..near.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(near.len())];
    let lower = word.to_ascii_lowercase();
    let role = match () {
        () if MODELS.contains(&lower.as_str()) => Role::Model,
        () if OTHERS.contains(&lower.as_str()) => Role::Other,
        () => return None,
    };
    let behind = rest[word.len()..].trim_start_matches(['*', '_']);
    let colon = behind.starts_with([':', '：']);
    let alone =
        ALONE.contains(&lower.as_str()) && (behind.is_empty() || behind.starts_with(['\n', '\r']));
    let before = &text[answered.min(at)..at];
    // `### Human:`, `**User:**`.
    let starts_line = before.trim_end_matches(['#', '*', '>', '_', ' ', '\t']);
    let starts_line =
        starts_line.is_empty() && at > answered || starts_line.ends_with('\n') || before.is_empty();
    let in_capitals = word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase());
    ((starts_line && (alone || colon)) || (in_capitals && colon)).then_some(role)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

    use super::{Role, role};

    #[test]
    fn roles_as_templates_write_them() {
        for next in [
            "\nuser\ndetect dogs",
            "\r\nuser\r\ndetect dogs",
            "user\n\ndetect dogs",
            "assistant\n\n[",
            "\nUSER\n",
            "\n\nHuman: detect dogs",
            " USER: detect dogs ASSISTANT:",
            "\n### Human: detect dogs",
            "\n### Instruction:\nDetect dogs",
            "\nQ: detect dogs",
            "\n**User:** dogs",
            "\nmodel\n",
        ] {
            let text = format!("[]{next}");
            let at = 2 + next.find(|c: char| c.is_ascii_alphabetic()).unwrap();
            let model = ["assistant", "model"].iter().any(|model| next.trim().starts_with(model));
            let expected = if model { Role::Model } else { Role::Other };
            assert_eq!(role(&text, at, 2), Some(expected), "{next:?}");
        }
        for (next, word) in [
            ("\nThe user sees a cat", "user"),
            ("\nuser interface: a button", "user"),
            ("\nquestion\n", "question"),
            ("\nA model\nof a car", "model"),
            ("\nThe answer to your question: yes", "question"),
        ] {
            let text = format!("[]{next}");
            assert_eq!(role(&text, text.find(word).unwrap(), 2), None, "{next:?}");
        }
    }
}
