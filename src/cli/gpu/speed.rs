//! How fast a card is, and what it waits for.
//!
//! In: what was asked, the model on the card. Out: figures, which are neither right nor wrong. Promises: what cannot be known is said, and no figure.

use gemscope::model::Model;
use gemscope::prompt::Prompter;
use gemscope::runtime::{Device, Watch};

use super::model::{Asked, Made, ROUNDS, SCENES};
use super::{Check, Outcome};

impl Made {
    fn images_per_second(&self) -> f64 {
        self.ids.len() as f64 / self.seconds
    }

    fn tokens_per_second(&self) -> f64 {
        self.tokens as f64 / self.decoding
    }

    fn speed(&self) -> String {
        format!("{:.2} images/s, {:.1} tokens/s while decoding", self.images_per_second(), self.tokens_per_second())
    }
}

/// The card's speed beside the CPU's.
pub(super) fn compared(name: &'static str, card: &anyhow::Result<Made>, cpu: &anyhow::Result<Made>) -> Check {
    match (card, cpu) {
        (Ok(card), Ok(cpu)) => Check::measured(
            name,
            format!("{}; on the CPU {}", card.speed(), cpu.speed()),
            [
                ("images_per_second", card.images_per_second()),
                ("tokens_per_second", card.tokens_per_second()),
                ("cpu_images_per_second", cpu.images_per_second()),
                ("cpu_tokens_per_second", cpu.tokens_per_second()),
            ],
        ),
        (Err(error), _) | (_, Err(error)) => Check::failed(name, &format!("{error:#}")),
    }
}

/// What an image costs on the bus, answers being written eight at a time.
pub(super) fn bus(name: &'static str, asked: &Asked, prompter: &Prompter, model: &mut Model) -> anyhow::Result<Check> {
    let before = model.traffic();
    let made = asked.run(prompter, model, SCENES, SCENES)?;
    let (after, images) = (model.traffic(), made.ids.len() as u64);
    let [to, from] =
        [after.to_device - before.to_device, after.from_device - before.from_device].map(|bytes| bytes / images);
    let tokens = made.tokens as u64 / images;
    Ok(Check::measured(
        name,
        format!("{to} bytes to the card, {from} bytes from it, of an image with an answer of {tokens} tokens"),
        [("bytes_to_card", to as f64), ("bytes_from_card", from as f64), ("tokens", tokens as f64)],
    ))
}

/// The share of the time that no kernel ran on the card, as its driver tells, while many images were answered.
pub(super) fn idle(name: &'static str, asked: &Asked, prompter: &Prompter, model: &mut Model) -> anyhow::Result<Check> {
    let unknown = |reason: &str| Check::new(name, Outcome::Measured, format!("not known: {reason}"));
    let Device::Cuda(card) = &model.device else { return Ok(unknown("this is no card")) };
    let watched = Watch::begin(card);
    for _ in 0..ROUNDS {
        asked.run(prompter, model, SCENES, SCENES)?;
    }
    let images = ROUNDS * SCENES;
    Ok(match watched.and_then(Watch::end) {
        Ok(share) => Check::measured(
            name,
            format!("{:.0} % while {images} images were answered, eight at a time", share * 100.0),
            [("idle_share", share), ("images", images as f64)],
        ),
        Err(reason) => unknown(&reason),
    })
}
