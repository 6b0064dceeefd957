//! A model on the card against the same model on the CPU.

use anyhow::Context as _;
use gemscope::device::Device;
use gemscope::model::Model;
use gemscope::onnxruntime::Runtime;
use gemscope::prompt::Prompter;
use gemscope::record::BudgetChoice;
use gemscope::session::{DeviceSlot, ModelFiles, ModelOptions};

use super::scenes::{SCENES, SceneQuestions};
use super::{Check, speed};

/// The checks, in their order.
pub(super) const NAMES: [&str; 7] = [
    "soft tokens, card against CPU",
    "logits of a prompt, card against CPU",
    "answers, card against CPU",
    "answers together, against one at a time",
    "speed, one answer at a time",
    "speed, eight answers together",
    "bytes over the bus for an image",
];

/// How far f32 graphs may be off, as a share of the largest value; others, whose kernels differ,
/// further.
const EXACT: f32 = 2e-3;
const ROUGH: f32 = 5e-2;

/// The comparison, and its result.
pub(super) fn checks(options: &ModelOptions, runtime: &Runtime, device: &Device) -> Vec<Check> {
    let opened = || -> anyhow::Result<(ModelFiles, [Model; 2], f32)> {
        let files = ModelFiles::open(options)?;
        let graphs = files.graphs(&())?;
        let decoder = graphs.decoder.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let rough =
            ["_fp16", "_q4", "_q4f16", "_quantized"].iter().any(|suffix| decoder.ends_with(suffix));
        let on = |device| DeviceSlot { device, embed_on_device: true };
        let reference =
            files.load(graphs.clone(), runtime, on(Device::Cpu)).context("on the CPU")?;
        let tried = files.load(graphs, runtime, on(device.clone()))?;
        Ok((files, [reference, tried], if rough { ROUGH } else { EXACT }))
    };
    match opened() {
        Ok((files, [mut reference, mut tried], tolerance)) => {
            let budget = BudgetChoice::Fixed(files.config.default_budget);
            compare(&files.prompter, budget, &mut reference, &mut tried, tolerance)
        }
        Err(error) => NAMES.map(|name| Check::failed(name, &format!("{error:#}"))).into(),
    }
}

/// Compares `tried` with `reference`.
fn compare(
    prompter: &Prompter,
    budget: BudgetChoice,
    reference: &mut Model,
    tried: &mut Model,
    tolerance: f32,
) -> Vec<Check> {
    let [soft, logits, answers, together, single, eight, bus] = NAMES;
    let asked = match SceneQuestions::new(prompter, budget, reference) {
        Ok(asked) => asked,
        Err(error) => return NAMES.map(|name| Check::failed(name, &format!("{error:#}"))).into(),
    };
    let settle = |name, check: anyhow::Result<Check>| {
        check.unwrap_or_else(|error| Check::failed(name, &format!("{error:#}")))
    };
    let mut checks = vec![
        settle(soft, asked.soft_tokens(soft, reference, tried, tolerance)),
        settle(logits, asked.logits(logits, reference, tried, tolerance)),
    ];
    let made = [(&mut *reference, 1), (&mut *tried, 1)]
        .map(|(model, rows)| asked.answers(prompter, model, rows));
    let batched = asked.answers(prompter, tried, SCENES);
    checks.push(match (&made[0], &made[1]) {
        (Ok(cpu), Ok(card)) => {
            settle(answers, asked.same(answers, reference, &cpu.ids, &card.ids, tolerance))
        }
        (Err(error), _) | (_, Err(error)) => Check::failed(answers, &format!("{error:#}")),
    });
    checks.push(match (&made[1], &batched) {
        (Ok(alone), Ok(many)) => {
            settle(together, asked.same(together, reference, &alone.ids, &many.ids, tolerance))
        }
        (Err(error), _) | (_, Err(error)) => Check::failed(together, &format!("{error:#}")),
    });
    let batched_cpu = asked.answers(prompter, reference, SCENES);
    checks.push(speed::compared(single, &made[1], &made[0]));
    checks.push(speed::compared(eight, &batched, &batched_cpu));
    checks.push(settle(bus, speed::bus(bus, &asked, prompter, tried)));
    checks
}

impl SceneQuestions {
    fn soft_tokens(
        &self,
        name: &'static str,
        reference: &mut Model,
        tried: &mut Model,
        tolerance: f32,
    ) -> anyhow::Result<Check> {
        let [cpu, card] = [self.encode(reference, 0)?, self.encode(tried, 0)?];
        Ok(near(name, &reference.soft_tokens(&cpu)?, &tried.soft_tokens(&card)?, tolerance))
    }

    fn logits(
        &self,
        name: &'static str,
        reference: &mut Model,
        tried: &mut Model,
        tolerance: f32,
    ) -> anyhow::Result<Check> {
        // One vision graph for both, so that only the decoders are compared.
        let features = self.encode(reference, 0)?;
        let ids: Vec<i64> = self.prompt_ids(0).into_iter().map(i64::from).collect();
        let run = |model: &mut Model| -> anyhow::Result<Vec<f32>> {
            let mut cache = model.empty_cache(1)?;
            let logits = model.decode(&ids, &[&features], &mut cache)?;
            Ok(model.logits(&logits, 0)?.to_vec())
        };
        Ok(near(name, &run(reference)?, &run(tried)?, tolerance))
    }

    /// Whether the answers are the same, token for token. Graphs that are not in f32 may pick
    /// another token if the CPU found two of them nearly as probable; the rest of such an answer is
    /// not compared.
    fn same(
        &self,
        name: &'static str,
        reference: &mut Model,
        expected: &[Vec<u32>],
        found: &[Vec<u32>],
        tolerance: f32,
    ) -> anyhow::Result<Check> {
        let equal = expected.iter().zip(found).filter(|(a, b)| a == b).count();
        let says = format!("{equal} of {} the same, token for token", expected.len());
        if equal == expected.len() || tolerance <= EXACT {
            return Ok(Check::of(name, equal == expected.len(), says));
        }
        let mut widest = 0.0_f32;
        for (view, (expected, found)) in
            expected.iter().zip(found).enumerate().filter(|(_, (a, b))| a != b)
        {
            let common = expected.iter().zip(found).take_while(|(a, b)| a == b).count();
            let (Some(&ours), Some(&theirs)) = (expected.get(common), found.get(common)) else {
                return Ok(Check::of(name, false, format!("{says}; answer {view} ends elsewhere")));
            };
            let features = self.encode(reference, view)?;
            let ids = self.prompt_ids(view).into_iter().chain(expected[..common].iter().copied());
            let mut cache = reference.empty_cache(1)?;
            let logits = reference.decode(
                &ids.map(i64::from).collect::<Vec<_>>(),
                &[&features],
                &mut cache,
            )?;
            let logits = reference.logits(&logits, 0)?.to_vec();
            widest = widest.max(gap(&logits, ours, theirs));
        }
        let says = format!(
            "{says}; where others part, to the CPU the two tokens are {widest:.1e} of the largest \
             logit apart"
        );
        Ok(Check::of(name, widest <= tolerance, format!("{says}; {tolerance:.0e} is allowed")))
    }
}

/// Within `tolerance` of the largest value, everywhere.
fn near(name: &'static str, expected: &[f32], found: &[f32], tolerance: f32) -> Check {
    let largest = expected.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let off = expected.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0_f32, |off, value| {
        // A NaN is as far off as can be; f32::max would drop it.
        if value.is_nan() { f32::INFINITY } else { off.max(value) }
    });
    let share = off / largest.max(f32::MIN_POSITIVE);
    let passed = expected.len() == found.len() && largest > 0.0 && share <= tolerance;
    Check::of(
        name,
        passed,
        format!(
            "{} values, off by at most {share:.1e} of the largest; {tolerance:.0e} is allowed",
            found.len()
        ),
    )
}

/// How far two tokens are apart, as a share of the largest logit.
fn gap(logits: &[f32], one: u32, other: u32) -> f32 {
    let at = |id: u32| logits.get(id as usize).copied().unwrap_or(f32::NAN);
    let largest = logits.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let gap = (at(one) - at(other)).abs() / largest.max(f32::MIN_POSITIVE);
    if gap.is_nan() { f32::INFINITY } else { gap }
}

#[cfg(test)]
mod tests {
    use gemscope::onnxruntime::{self, RuntimeOptions};

    use super::super::Outcome;
    use super::*;

    /// The CPU in a card's place, with the reference for kernels: every check passes, and none is
    /// left out.
    #[test]
    fn a_device_that_computes_the_same_passes() {
        let runtime =
            onnxruntime::load(&RuntimeOptions::from_env(None, false), &mut |_| {}).unwrap();
        let kernels = super::super::kernels::checks(runtime, &Device::EmulatedCuda);
        assert!(kernels.iter().all(|check| check.outcome == Outcome::Passed), "{kernels:?}");
        let checks = checks(&ModelOptions::default(), runtime, &Device::EmulatedCuda);
        assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), NAMES);
        for check in checks {
            let figure = ["speed", "bytes"].iter().any(|kind| check.name.starts_with(kind));
            let expected = if figure { Outcome::Measured } else { Outcome::Passed };
            assert_eq!(check.outcome, expected, "{}: {}", check.name, check.says);
            assert_eq!(check.figures.is_empty(), !figure, "{check:?}");
        }
    }

    #[test]
    fn what_differs_fails() {
        let off = near("a", &[1.0, -2.0], &[1.0, -2.01], EXACT);
        assert_eq!(off.outcome, Outcome::Failed, "{}", off.says);
        assert_eq!(near("a", &[1.0, -2.0], &[1.0, -2.001], EXACT).outcome, Outcome::Passed);
        assert_eq!(near("a", &[1.0, 2.0], &[f32::NAN, 2.0], ROUGH).outcome, Outcome::Failed);
        assert_eq!(near("a", &[1.0, 2.0], &[1.0], ROUGH).outcome, Outcome::Failed);
        assert_eq!(
            near("a", &[0.0], &[0.0], ROUGH).outcome,
            Outcome::Failed,
            "a graph that gives nothing"
        );
        assert!(gap(&[20.0, 19.5, 3.0], 0, 1) <= ROUGH && gap(&[20.0, 19.5, 3.0], 0, 2) > ROUGH);
        assert!(gap(&[1.0, f32::NAN], 0, 1) > ROUGH && gap(&[1.0], 0, 5) > ROUGH);
    }
}
