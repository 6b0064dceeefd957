//! Prompts with flags behind them: Midjourney's, and those of kohya's scripts.
//!
//! In: `a red fox --ar 16:9 --v 6.1 Job ID: 0f0f0f0f-...`, or `a red fox --n blurry --w 512 --h 768
//! --d 7 --l 5 --s 28`. Out: [`GenerationSettings`]. Promises: a text without such flags is not
//! touched.
//!
//! Source: docs.midjourney.com, parameter list; `library/train_util.py` of kohya-ss/sd-scripts,
//! `line_to_prompt_dict`.

use serde_json::Value;

use super::named::{Field, Named};
use super::{GenerationSettings, Tool};

/// Flags that only Midjourney has.
const ITS_OWN: [&str; 19] = [
    "v", "version", "ar", "aspect", "niji", "style", "stylize", "chaos", "c", "q", "quality", "iw",
    "cref", "sref", "tile", "weird", "raw", "stop", "profile",
];
/// Flags that only kohya's scripts have.
const KOHYA: [&str; 6] = ["n", "d", "l", "g", "am", "ss"];

/// Reads a text that has its flags or its job.
pub(super) fn read(text: &str) -> Option<GenerationSettings> {
    let (said, job) = match text.rsplit_once("Job ID:") {
        Some((said, _)) => (said, true),
        None => (text, false),
    };
    let (prompt, flags) = flags(said);
    let has = |names: &[&str]| flags.iter().any(|(name, _)| names.contains(name));
    if !job && !has(&ITS_OWN) {
        return None;
    }
    let mut named = Named::default();
    named.take_or_note(Field::Prompt, "prompt", &Value::from(prompt));
    for (name, value) in &flags {
        match *name {
            "no" => named.take_or_note(Field::NegativePrompt, "no", &Value::from(*value)),
            "seed" => named.take_or_note(Field::Seed, "seed", &Value::from(*value)),
            "v" | "version" => {
                named.take_or_note(Field::Model, "v", &Value::from(format!("Midjourney {value}")));
            }
            "niji" => named.take_or_note(
                Field::Model,
                "niji",
                &Value::from(format!("Niji {value}").trim()),
            ),
            _ => {}
        }
    }
    Some(named.finish().by(Tool::Midjourney))
}

/// Reads a line of kohya's, if it has its flags.
pub(super) fn read_kohya(text: &str) -> Option<GenerationSettings> {
    let (prompt, flags) = flags(text);
    if !flags.iter().any(|(name, value)| KOHYA.contains(name) && !value.is_empty()) {
        return None;
    }
    let mut named = Named::default();
    named.take_or_note(Field::Prompt, "prompt", &Value::from(prompt));
    for (name, value) in flags {
        let field = match name {
            "n" => Field::NegativePrompt,
            "d" => Field::Seed,
            "l" => Field::CfgScale,
            "g" => Field::Guidance,
            "s" => Field::Steps,
            "w" => Field::Width,
            "h" => Field::Height,
            "ss" => Field::Sampler,
            _ => continue,
        };
        named.take_or_note(field, name, &Value::from(value));
    }
    Some(named.finish())
}

/// What stands before the flags, and each flag with its value.
fn flags(text: &str) -> (&str, Vec<(&str, &str)>) {
    let starts = |at: usize| {
        let before = text[..at].chars().next_back();
        let after = text[at + 2..].chars().next();
        before.is_none_or(char::is_whitespace)
            && after.is_some_and(|letter| letter.is_ascii_alphabetic())
    };
    let places: Vec<usize> =
        text.match_indices("--").map(|(at, _)| at).filter(|at| starts(*at)).collect();
    let prompt = text[..places.first().copied().unwrap_or(text.len())].trim();
    let ends = places.iter().skip(1).copied().chain([text.len()]);
    let flags = places.iter().zip(ends).map(|(at, end)| {
        let flag = text[at + 2..end].trim();
        let (name, value) = flag.split_once(char::is_whitespace).unwrap_or((flag, ""));
        (name, value.trim())
    });
    (prompt, flags.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_stand_behind_the_prompt() {
        let made = read(
            "a red fox -- in snow --no cats, dogs --ar 16:9 --v 6.1 --seed 42 Job ID: 0f0f-11",
        )
        .unwrap();
        assert_eq!(made.prompt.as_deref(), Some("a red fox -- in snow"));
        assert_eq!(made.negative_prompt.as_deref(), Some("cats, dogs"));
        assert_eq!((made.seed, made.model.as_deref()), (Some(42), Some("Midjourney 6.1")));
        assert_eq!(read("a red fox Job ID: 1").unwrap().prompt.as_deref(), Some("a red fox"));
        assert!(
            read("a photo of a sign -- old").is_none()
                && read("").is_none()
                && read("--").is_none()
        );
        let made =
            read_kohya("a red fox --n blurry, ugly --w 512 --h 768 --d 7 --l 5.5 --s 28").unwrap();
        assert_eq!(
            (made.prompt.as_deref(), made.negative_prompt.as_deref()),
            (Some("a red fox"), Some("blurry, ugly"))
        );
        assert_eq!(
            (made.size, made.seed, made.cfg_scale, made.steps),
            (Some([512, 768]), Some(7), Some(5.5), Some(28))
        );
        assert!(read_kohya("a red fox --s 250").is_none());
    }
}
