//! A prompt to clauses that can be checked one by one.
//!
//! In: a prompt as people write for diffusion models: tags, sentences or both. Out: a few short
//! texts in its order. Promises: what only steers the sampler (weights, networks) and what no
//! picture can show (quality, ratings, artists, years, instructions, negations) is removed; each
//! clause occurs once; nothing else is lost: if there are more than wanted, neighbours are joined.
//!
//! Sources: stable-diffusion-webui's wiki on emphasis, prompt editing and AND; dynamic-prompts on
//! `{a|b}` and `__wildcards__`; `ComfyUI` on `embedding:name`.

mod brackets;
mod sentences;
mod unseen;

use std::collections::HashSet;

use self::brackets::{without_brackets, without_markers, without_numeric_weights};
use self::sentences::{of_unit, units, without_instructions};
pub use self::unseen::ClauseRules;

/// The most clauses that are asked about by default.
pub const MAX_CLAUSES: usize = 12;

/// Splits `prompt` into clauses; none if it says nothing that a picture can show.
///
/// Commas, line breaks and sentence ends separate clauses; a sentence stays whole unless it is long.
/// What no picture can show is left out as `rules` say. If there are more than they allow, the two
/// neighbours that are shortest together are joined by a comma, the first of equals, again and
/// again.
pub fn clauses(prompt: &str, rules: &ClauseRules) -> Vec<String> {
    let mut clauses: Vec<String> = Vec::new();
    let mut seen = HashSet::new();
    let plain = without_brackets(&without_numeric_weights(&without_instructions(prompt)));
    for (unit, ended) in units(&without_markers(&plain)) {
        for clause in of_unit(&unit, ended, |clause| rules.leaves_out(clause)) {
            if !seen.insert(clause.to_lowercase()) {
                continue;
            }
            match clauses.last_mut() {
                // Alone it would say nothing.
                Some(before) if is_short(&clause) => {
                    before.push_str(", ");
                    before.push_str(&clause);
                }
                _ => clauses.push(clause),
            }
        }
    }
    join_down_to(&mut clauses, rules.most.max(1));
    clauses
}

/// Up to two letters, in scripts where these are no word.
fn is_short(text: &str) -> bool {
    text.is_ascii() && text.len() < 3
}

fn join_down_to(clauses: &mut Vec<String>, most: usize) {
    while clauses.len() > most {
        let together = |at: &usize| clauses[*at].len() + clauses[*at + 1].len();
        let Some(at) = (0..clauses.len() - 1).min_by_key(together) else { return };
        let after = clauses.remove(at + 1);
        clauses[at].push_str(", ");
        clauses[at].push_str(&after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(prompt: &str, most: usize) -> Vec<String> {
        clauses(prompt, &ClauseRules { most, ..ClauseRules::default() })
    }

    #[test]
    fn prompts_to_clauses() {
        let table: [(&str, &[&str]); 27] = [
            ("", &[]),
            (" , ,\n.", &[]),
            (
                "masterpiece, best quality, 8k uhd, highly-detailed, score_9, score_8_up, \
                 trending on artstation",
                &[],
            ),
            ("1girl, red hat, blue eyes", &["1girl", "red hat", "blue eyes"]),
            (
                "(red hat:1.2), ((blue eyes)), [smile], {{tree}}",
                &["red hat", "blue eyes", "smile", "tree"],
            ),
            ("(a cat, (sitting:1.1):0.9) on a mat", &["a cat", "sitting on a mat"]),
            ("<lora:add_detail:0.8> fox, <hypernet:x:1>, a < b", &["fox", "a < b"]),
            ("a fox AND a tree :1.2 BREAK snow", &["a fox", "a tree", "snow"]),
            ("salt AND pepper, bread and butter", &["salt", "pepper", "bread and butter"]),
            ("__animal__ house, a __color__ door", &["house", "a door"]),
            ("embedding:easynegative, (embedding:x:1.2), fox", &["fox"]),
            (
                "[day:night:0.5] sky, [cat|dog], {2::red|1::blue} car, [rain::0.3]",
                &["day or night sky", "cat or dog", "red or blue car", "rain"],
            ),
            (r"saber \(fate\), sword", &["saber (fate)", "sword"]),
            ("fox), (tree, [snow", &["fox", "tree", "snow"]),
            ("Red Hat, red hat, RED  HAT", &["Red Hat"]),
            (
                "A red fox stands in the snow, looking at the camera.",
                &["A red fox stands in the snow, looking at the camera"],
            ),
            (
                "A cat, black and white, sits on a mat. It is night.",
                &["A cat, black and white, sits on a mat", "It is night"],
            ),
            (
                "A red fox stands in the snow looking at the camera, masterpiece, 8k",
                &["A red fox stands in the snow looking at the camera"],
            ),
            (
                "portrait of a woman, red hat, freckles",
                &["portrait of a woman", "red hat", "freckles"],
            ),
            ("f/1.8, 35mm photo, v2.0 robot", &["v2.0 robot"]),
            ("Is it raining? Yes! It is", &["Is it raining", "Yes", "It is"]),
            ("a cat\na dog\r\nA CAT", &["a cat", "a dog"]),
            ("猫、青い空。海", &["猫", "青い空", "海"]),
            ("the letter, A, on a wall", &["the letter, A", "on a wall"]),
            ("high wall, perfect circle, hd", &["high wall", "perfect circle"]),
            ("a sign: \"open\", number 7:30", &["a sign: \"open\"", "number 7:30"]),
            ("sharp focus, Unreal Engine 5, engine room", &["engine room"]),
        ];
        for (prompt, expected) in table {
            assert_eq!(asked(prompt, MAX_CLAUSES), expected, "{prompt}");
        }
    }

    #[test]
    fn a_long_sentence_is_taken_apart() {
        let prompt = "In the middle of a wide green valley with a slow river, under a sky, heavy \
                      with dark clouds, stands an old stone house with a red roof, its windows \
                      lit, and a woman in a long yellow coat walks towards it with a lantern.";
        assert_eq!(
            asked(prompt, 12),
            [
                "In the middle of a wide green valley",
                "a slow river",
                "under a sky",
                "heavy with dark clouds",
                "stands an old stone house",
                "a red roof",
                "its windows lit",
                "a woman in a long yellow coat walks towards it",
                "a lantern",
            ]
        );
    }

    /// Each holds several things, of which each can be checked by itself.
    #[test]
    fn what_language_models_write_is_taken_apart() {
        let table: [(&str, &[&str]); 8] = [
            (
                "A young woman with long flowing red hair and bright green eyes stands in a sunlit \
                 meadow filled with wildflowers, her white dress billowing gently in the breeze as \
                 golden light filters through the trees behind her.",
                &[
                    "A young woman",
                    "long flowing red hair",
                    "bright green eyes",
                    "stands in a sunlit meadow",
                    "filled with wildflowers",
                    "her white dress",
                    "billowing gently in the breeze",
                    "golden light filters through the trees behind her",
                ],
            ),
            (
                "A medieval knight in battered silver armour kneels in a ruined cathedral as beams \
                 of golden light pour through broken stained glass windows.",
                &[
                    "A medieval knight in battered silver armour kneels in a ruined cathedral",
                    "beams of golden light pour through broken stained glass windows",
                ],
            ),
            (
                "A black and white cat sleeps on a red and yellow striped cushion next to a small \
                 round table with a porcelain teapot.",
                &[
                    "A black and white cat sleeps",
                    "on a red and yellow striped cushion",
                    "next to a small round table",
                    "a porcelain teapot",
                ],
            ),
            (
                "A dewdrop on a bright green leaf with a blurred forest in the background and soft \
                 morning sunlight sparkling above.",
                &[
                    "A dewdrop on a bright green leaf",
                    "a blurred forest in the background",
                    "soft morning sunlight sparkling above",
                ],
            ),
            (
                "Two astronauts in orange suits sitting at a control console covered in holographic \
                 displays and lit by a round window.",
                &[
                    "Two astronauts in orange suits",
                    "sitting at a control console",
                    "covered in holographic displays",
                    "lit by a round window",
                ],
            ),
            (
                "A surreal landscape where giant watches melt over floating islands, and an elf \
                 holding a curved glowing sword.",
                &[
                    "A surreal landscape",
                    "giant watches melt over floating islands",
                    "an elf",
                    "holding a curved glowing sword",
                ],
            ),
            (
                "A dragon on a crumbling tower while villagers with torches gather on the bridge \
                 below and lightning splits the dark sky.",
                &[
                    "A dragon on a crumbling tower",
                    "villagers with torches gather on the bridge below",
                    "lightning splits the dark sky",
                ],
            ),
            // What belongs together stays so.
            (
                "An old and worn wooden door, painted red and white, such as a symbol of hope, \
                 dressed as a pirate in a very long coat of many colours.",
                &[
                    "An old and worn wooden door",
                    "painted red and white",
                    "such as a symbol of hope",
                    "dressed as a pirate in a very long coat of many colours",
                ],
            ),
        ];
        for (prompt, expected) in table {
            assert_eq!(asked(prompt, MAX_CLAUSES), expected, "{prompt}");
        }
    }

    /// Prompts of kinds that people and their tools write.
    #[test]
    fn only_what_a_picture_can_show_is_asked() {
        let table: [(&str, &[&str]); 18] = [
            (
                "1girl, rating:general, artist:someone, year 2024, newest, safe, very awa, \
                 red hair, english commentary, @someone",
                &["1girl", "red hair"],
            ),
            ("general, 1girl, solo, by a painter, no humans, absurdres", &["1girl", "solo"]),
            ("(blurry:-1), (crowd:0), (fox:1.3)", &["fox"]),
            (
                "1.3::red fox::, -2::people::, snow, 0.5::trees, moss::",
                &["red fox", "snow", "trees", "moss"],
            ),
            (
                "You are an assistant designed to generate superior images with the superior \
                 degree of image-text alignment. <Prompt Start> A fox in the snow, masterpiece",
                &["A fox in the snow"],
            ),
            (
                "<|im_start|>system\nDescribe the image.<|im_end|>\n<|im_start|>user\nA red \
                 boat<|im_end|>\n<|im_start|>assistant\n",
                &["A red boat"],
            ),
            ("a red boat on a lake --ar 16:9 --v 6 --stylize 250", &["a red boat on a lake"]),
            ("A street without cars, no people, no text.", &["A street"]),
            (
                "The image shows a wooden table with a bowl of green apples, a folded linen napkin \
                 and a small knife beside it, evoking a sense of calm.",
                &[
                    "a wooden table",
                    "a bowl of green apples",
                    "a folded linen napkin",
                    "a small knife beside it",
                ],
            ),
            (
                "**Subject:** a knight in silver armour\n- Background: a burning castle\n- Mood: \
                 grim\n2. Lighting: torches",
                &["a knight in silver armour", "a burning castle", "torches"],
            ),
            (
                "Please create a photorealistic picture of a cabin in the snow with smoke rising \
                 from the chimney while the northern lights shine above.",
                &[
                    "a cabin in the snow",
                    "smoke rising from the chimney",
                    "the northern lights shine above",
                ],
            ),
            (
                "masterpiece best quality girl in a garden, source#hug, 高质量",
                &["girl in a garden", "hug"],
            ),
            ("A harbor painted by J.M.W. Turner", &["A harbor painted by J.M.W. Turner"]),
            ("The overall atmosphere is serene. It is snowing.", &["It is snowing"]),
            (
                "portrait of a man, 85mm, f/1.4, shot on Canon EOS R5, film grain",
                &["portrait of a man", "film grain"],
            ),
            ("Create an image of a cat reading a newspaper", &["a cat reading a newspaper"]),
            ("hatsune miku (vocaloid), 1990s, 2girls", &["hatsune miku vocaloid", "2girls"]),
            ("masterpiece, best quality, no text, general", &[]),
        ];
        for (prompt, expected) in table {
            assert_eq!(asked(prompt, MAX_CLAUSES), expected, "{prompt}");
        }
    }

    #[test]
    fn neighbours_are_joined_and_nothing_is_lost() {
        let tags = ["fox", "snow", "a very old tree", "moon", "hat", "mist"];
        let prompt = tags.join(", ");
        assert_eq!(asked(&prompt, 6).len(), 6);
        assert_eq!(asked(&prompt, 4), ["fox, snow", "a very old tree", "moon, hat", "mist"]);
        for most in [0, 1] {
            assert_eq!(asked(&prompt, most), [prompt.as_str()]);
        }
        let many: Vec<String> = (100..400).map(|number| format!("thing {number}")).collect();
        let joined = asked(&many.join(", "), 12);
        assert_eq!(joined.len(), 12);
        assert_eq!(joined.join(", "), many.join(", "));
    }

    #[test]
    fn brackets_without_end_take_no_time() {
        for bracket in ["(", "[", "{", "<", "[a|", "(a:", "<a:"] {
            asked(&bracket.repeat(10_000), 12);
        }
        asked(&format!("{}a{}", "[".repeat(10_000), "]".repeat(10_000)), 12);
    }
}
