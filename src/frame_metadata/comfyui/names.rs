//! What the name of an input says about what comes in by it.
//!
//! In: names as the authors of nodes chose them. Out: [`Kind`]. Promises: the same for any case,
//! with spaces or underscores.
//!
//! Source: `ComfyUI`'s own nodes and the node packs in wide use (Impact, Efficiency, Easy-Use,
//! Searge, Comfyroll, rgthree, WAS, `KJNodes`, RES4LYF): the graph that was run has no types, but
//! authors call the same things by the same words.

/// Lower case, with `_` for all that is no letter or digit: `Base Model` and `base_model` are one.
pub(super) fn plain(name: &str) -> String {
    name.chars()
        .map(|letter| if letter.is_alphanumeric() { letter.to_ascii_lowercase() } else { '_' })
        .collect()
}

/// What comes in by an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A picture or a latent.
    Picture,
    /// A text or a conditioning made of one.
    Text,
    /// Many things at once.
    Pipe,
    /// A model, and what changes one.
    Model,
    /// It can lead to no setting: masks, VAEs, control nets and the like.
    Aside,
    /// Anything.
    Any,
}

/// Words of inputs that lead to no setting.
const ASIDE: [&str; 32] = [
    "vae",
    "clip_vision",
    "mask",
    "width",
    "height",
    "batch",
    "batch_size",
    "steps",
    "seed",
    "cfg",
    "denoise",
    "count",
    "index",
    "fps",
    "length",
    "strength",
    "factor",
    "scale_by",
    "control",
    "segs",
    "sam_model",
    "detector",
    "upscale_model",
    "ipadapter",
    "ip_adapter",
    "insightface",
    "face",
    "style_model",
    "filename",
    "hook",
    "lora_stack",
    "cnet",
];
/// Words of inputs that bring many things.
const PIPE: [&str; 14] = [
    "pipe",
    "context",
    "ctx",
    "tuple",
    "bus",
    "data",
    "parameters",
    "params",
    "settings",
    "provider",
    "bundle",
    "packet",
    "info",
    "base_sampler",
];
/// Words of inputs that bring a text or a conditioning.
const TEXT: [&str; 25] = [
    "conditioning",
    "text",
    "prompt",
    "string",
    "positive",
    "negative",
    "cond",
    "caption",
    "clip_g",
    "clip_l",
    "t5",
    "t5xxl",
    "clip_regions",
    "llama",
    "qwen",
    "wildcard",
    "embeds",
    "embeddings",
    "tags",
    "pos",
    "neg",
    "line",
    "description",
    "style",
    "words",
];
/// Words of inputs that bring a picture or a latent.
const PICTURE: [&str; 10] = [
    "latent",
    "image",
    "images",
    "samples",
    "pixels",
    "stage_c",
    "picture",
    "frames",
    "destination",
    "prior",
];

/// The kind of an input by its plain name.
pub(super) fn kind(name: &str) -> Kind {
    let has = |words: &[&str]| words.iter().any(|word| has_word(name, word));
    let is_clip =
        name.trim_end_matches(|letter: char| letter.is_ascii_digit() || letter == '_') == "clip";
    if has(&["clip_g", "clip_l", "clip_regions"]) {
        Kind::Text
    } else if has(&PIPE) && !has(&["clip_vision"]) {
        Kind::Pipe
    } else if has(&PICTURE) && !has(&["image_embeds", "reference", "mask"]) {
        Kind::Picture
    } else if is_clip || name == "clip_name" || has(&ASIDE) {
        Kind::Aside
    } else if name.starts_with("model")
        || name.ends_with("model")
        || has(&["unet", "lora", "transformer"])
    {
        Kind::Model
    } else if has(&TEXT) {
        Kind::Text
    } else {
        Kind::Any
    }
}

/// Whether a word stands in a name by itself or with digits or an `s` behind it: `text` in
/// `text_2`, `text2` and `Texts`, not in `context`.
pub(super) fn has_word(name: &str, word: &str) -> bool {
    name.match_indices(word).any(|(at, _)| {
        let before = name[..at].chars().next_back();
        let after = name[at + word.len()..].strip_prefix('s').unwrap_or(&name[at + word.len()..]);
        before.is_none_or(|letter| letter == '_' || letter.is_ascii_digit())
            && after
                .chars()
                .next()
                .is_none_or(|letter| letter == '_' || letter.is_ascii_digit() || word.len() > 5)
    })
}

/// Which of the two prompts is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Side {
    Positive,
    Negative,
}

/// The side that a plain name is about, if it says one.
pub(super) fn side(name: &str) -> Option<Side> {
    if name.contains("negative") || has_word(name, "neg") || has_word(name, "uncond") {
        Some(Side::Negative)
    } else if name.contains("positive") || has_word(name, "pos") {
        Some(Side::Positive)
    } else {
        None
    }
}

/// A number at the end of a name, which tells the inputs of a switch apart: 2 in `input2`,
/// `text_2`, `any_02`.
pub(super) fn number_at_end(name: &str) -> Option<u64> {
    let digits = name.len() - name.trim_end_matches(|letter: char| letter.is_ascii_digit()).len();
    name[name.len() - digits..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_comes_in() {
        for (name, expected) in [
            ("latent_image", Kind::Picture),
            ("samples_to", Kind::Picture),
            ("Positive", Kind::Text),
            ("clip_l", Kind::Text),
            ("clip", Kind::Aside),
            ("basic_pipe", Kind::Pipe),
            ("base_ctx", Kind::Pipe),
            ("sdxl_tuple", Kind::Pipe),
            ("model1", Kind::Model),
            ("upscale_model", Kind::Aside),
            ("Text 2", Kind::Text),
            ("mask", Kind::Aside),
            ("any_01", Kind::Any),
            ("control_net", Kind::Aside),
        ] {
            assert_eq!(kind(&plain(name)), expected, "{name}");
        }
        assert_eq!(
            (side("base_positive"), side("neg_g"), side("position")),
            (Some(Side::Positive), Some(Side::Negative), None)
        );
        assert_eq!(
            (number_at_end("text_2"), number_at_end("any_02"), number_at_end("text")),
            (Some(2), Some(2), None)
        );
        assert!(has_word("context_2", "context") && !has_word("context", "text"));
    }
}
