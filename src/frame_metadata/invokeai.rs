//! `InvokeAI`'s three layouts.
//!
//! In: the object `invokeai_metadata` (version 3 on) or `sd-metadata` (2), or the command line
//! `Dream` (1). Out: [`GenerationSettings`]. Promises: what versions 1 and 2 wrote in square
//! brackets inside the prompt is the negative prompt.
//!
//! Source: `InvokeAI`'s docs/features/METADATA and invokeai/app/invocations/metadata.py;
//! ldm/dream/pngwriter.py of version 1.

use serde_json::{Map, Value};

use super::GenerationSettings;
use super::named::{self, Field, Named};

/// Of version 3 on, and of version 2.
pub(super) fn read(object: &Map<String, Value>) -> GenerationSettings {
    let Some(image) = object.get("image").and_then(Value::as_object) else {
        return named::read(object);
    };
    let mut settings = split_brackets(named::read(image));
    settings.model = object.get("model_weights").and_then(Value::as_str).map(str::to_owned);
    settings
}

/// Of version 1: `"a cat [a dog]" -s 50 -S 42 -W 512 -H 512 -C 7.5 -A k_lms`.
pub(super) fn read_command(command: &str) -> GenerationSettings {
    let command = command.trim().strip_prefix("dream>").unwrap_or(command).trim();
    let (prompt, flags) = match command.strip_prefix('"') {
        Some(quoted) => quoted.rsplit_once('"').unwrap_or((quoted, "")),
        None => command.find(" -").map_or((command, ""), |at| command.split_at(at)),
    };
    let mut named = Named::default();
    named.take_or_note(Field::Prompt, "prompt", &prompt.into());
    let mut words = flags.split_whitespace().peekable();
    while let Some(word) = words.next() {
        // A value may stand behind its flag or in the same word.
        let Some((flag, inside)) = word.split_at_checked(2) else { continue };
        let field = match flag {
            "-s" => Field::Steps,
            "-S" => Field::Seed,
            "-W" => Field::Width,
            "-H" => Field::Height,
            "-C" => Field::CfgScale,
            "-A" => Field::Sampler,
            _ => continue,
        };
        let value = if inside.is_empty() {
            words.next_if(|next| !next.starts_with('-'))
        } else {
            Some(inside)
        };
        named.take_or_note(field, flag, &value.unwrap_or_default().into());
    }
    split_brackets(named.finish())
}

fn split_brackets(mut settings: GenerationSettings) -> GenerationSettings {
    let Some(whole) = settings.prompt.take_if(|prompt| prompt.contains('[')) else {
        return settings;
    };
    let (mut prompt, mut negative) = (String::new(), Vec::new());
    let mut rest = whole.as_str();
    while let Some((before, (inside, after))) =
        rest.split_once('[').and_then(|(before, after)| Some((before, after.split_once(']')?)))
    {
        prompt.push_str(before);
        negative.push(inside.trim());
        rest = after;
    }
    prompt.push_str(rest);
    settings.prompt = Some(prompt);
    settings.negative_prompt = settings.negative_prompt.or_else(|| Some(negative.join(", ")));
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command() {
        let settings = read_command(
            "\"a \"big\" cat [a dog] sits [x\" -s 50 -S42 -W 512 -H 768 -C 7.5 -A k_lms -v0.1 -U \
             -s",
        );
        assert_eq!(settings.prompt.as_deref(), Some("a \"big\" cat  sits [x"));
        assert_eq!(settings.negative_prompt.as_deref(), Some("a dog"));
        assert_eq!(
            (settings.seed, settings.steps, settings.size),
            (Some(42), Some(50), Some([512, 768]))
        );
        assert_eq!((settings.cfg_scale, settings.sampler.as_deref()), (Some(7.5), Some("k_lms")));
        assert_eq!(read_command("dream> a cat -S 1").prompt.as_deref(), Some("a cat"));
        assert_eq!(read_command("").prompt, None);
    }
}
