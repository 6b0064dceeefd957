//! Notes for the user about images that were left out or repaired.

use gemscope::preprocess::CLIP_FRAMES;
use gemscope::record::NoteKind;
use gemscope::session::Summary;
use gemscope::source::{Besides, Source};

use super::messages;

/// Advises what to do about files that hold pictures and are no images.
pub(crate) fn say_advice(source: &Source) {
    source.passed_over.advice().into_iter().for_each(messages::say);
}

/// One line for each kind of file that the inputs hold besides the `images` that were chosen.
pub(crate) fn besides(besides: &Besides, images: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let chosen = images + besides.other_shards;
    if besides.not_chosen > 0 {
        let all = chosen + besides.not_chosen;
        lines.push(format!("{chosen} of {all} images were chosen (--limit, --sample)"));
    }
    if let Some(shard) = besides.shard {
        lines.push(format!("shard {shard}: {images} of {chosen} images"));
    }
    if besides.videos > 0 {
        lines.push(format!("frames of {} videos are among them", besides.videos));
    }
    if let Some(words) = besides.passed_over.words() {
        lines.push(format!("passed over: {words}"));
    }
    if besides.repeated_links > 0 {
        lines.push(format!("links to images that are there already: {}", besides.repeated_links));
    }
    lines
}

/// One line for each kind of repair that image files needed.
pub(crate) fn made_good(summary: &Summary) -> Vec<String> {
    let count = |kind| summary.notes.get(&kind).copied().unwrap_or(0);
    let (cut, failed) = (count(NoteKind::TruncatedImage), summary.too_few_rows);
    let failed = if failed == 0 {
        String::new()
    } else {
        format!(", {failed} with fewer rows than --min-rows")
    };
    let lines = [
        (cut, format!("end early, as JPEGs that were cut short{failed}")),
        (
            count(NoteKind::ScaledBitDepth),
            "use less than their 16 bits, and were brightened".to_owned(),
        ),
        (count(NoteKind::NearBlack), "look black in their 16 bits".to_owned()),
        (count(NoteKind::Animated), "are animations: their first frame was looked at".to_owned()),
        (
            count(NoteKind::AnimatedTogether),
            "are animations: frames from their whole length were judged together".to_owned(),
        ),
        (
            count(NoteKind::FewFrames),
            format!("are videos of fewer than {CLIP_FRAMES} frames, which were all shown"),
        ),
    ];
    lines
        .into_iter()
        .filter(|(count, _)| *count > 0)
        .map(|(count, what)| format!("{count} images {what}"))
        .collect()
}
