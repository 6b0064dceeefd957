//! `gemscope critique --pair`: which of two frames is better.
//!
//! In: two folders with frames of the same names. Out: `pairs.jsonl` and `pairs.csv`, and how often
//! each folder won. Promises: each pair is asked about in both orders; frames without a partner are
//! counted.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use anyhow::{Context as _, bail};
use gemscope::export::write_pairs;
use gemscope::record::{PairRecord, Preference};
use gemscope::run::Pair;
use gemscope::session::{ComparedPairs, CritiqueConfig, Session};
use gemscope::source::{self, SourceImage};
use serde::Serialize;

use super::super::choice::say_advice;
use super::super::progress::Progress;
use super::super::{Ending, messages, output, plain, raised, signals};
use super::args::Args;

#[derive(Serialize)]
struct Figures<'f> {
    pairs: usize,
    preferences: BTreeMap<Preference, usize>,
    without_partner: usize,
    left: usize,
    stopped: bool,
    written: &'f [PathBuf],
}

pub(super) fn run(args: &Args, config: CritiqueConfig) -> anyhow::Result<Ending> {
    let [first, second] = args.inputs.as_slice() else {
        bail!("--pair takes two folders: the frames of one name in both are compared");
    };
    let roots = [first, second].map(|folder| {
        folder.canonicalize().with_context(|| source::shown_address(&folder.to_string_lossy()))
    });
    let [first_root, second_root] = roots;
    let roots = [first_root?, second_root?];
    let mut choice = args.choice.choice(&args.decoding.sampling)?;
    choice.web.offline = config.model.runtime.offline;
    let [first_source, second_source] = [first, second].map(|folder: &PathBuf| {
        let source = source::list_chosen(std::slice::from_ref(folder), Some(&args.out), &choice)?;
        say_advice(&source);
        Ok::<_, source::SourceError>(source)
    });
    let (pairs, without_partner) = pair_up(first_source?.images, second_source?.images);
    if pairs.is_empty() {
        bail!("no name is in both {} and {}", first.display(), second.display());
    }
    if without_partner > 0 {
        messages::say(&format!(
            "{without_partner} frames are in one of the folders only, and are left out"
        ));
    }
    let progress = Progress::new();
    let options =
        args.control.run_options(&args.out, &args.run, &args.limits, signals::stop_flag()?);
    let compared =
        Session::open(config, &progress)?.compare(&pairs, &roots, &options).map_err(raised)?;
    let ComparedPairs { directory, records } = compared;
    let written = [args.out.join("pairs.jsonl"), write_pairs(&records, directory.output())?];
    let mut preferences: BTreeMap<Preference, usize> =
        Preference::ALL.map(|preference| (preference, 0)).into();
    for record in &records {
        *preferences.entry(record.preference).or_default() += 1;
    }
    let left = pairs.len() - records.len();
    let figures = Figures {
        pairs: records.len(),
        preferences,
        without_partner,
        left,
        stopped: left > 0,
        written: &written,
    };
    report(args, &records, &figures)?;
    if left > 0 {
        messages::say(&format!("Stopped with {left} pairs left; the same command goes on."));
        return Ok(Ending::Stopped);
    }
    Ok(if figures.preferences[&Preference::Unread] == 0 {
        Ending::Complete
    } else {
        Ending::SomeFailed
    })
}

/// Images of one name in both folders, in the order of the first, and how many have no partner.
fn pair_up(first: Vec<SourceImage>, second: Vec<SourceImage>) -> (Vec<Pair>, usize) {
    let all = first.len() + second.len();
    let mut others: HashMap<String, SourceImage> =
        second.into_iter().map(|image| (image.name.clone(), image)).collect();
    let paired = first.into_iter().filter_map(|image| {
        let other = others.remove(&image.name)?;
        Some(Pair { name: image.name.clone(), images: [image, other] })
    });
    let pairs: Vec<Pair> = paired.collect();
    let without = all - 2 * pairs.len();
    (pairs, without)
}

fn report(args: &Args, records: &[PairRecord], figures: &Figures<'_>) -> anyhow::Result<()> {
    if args.json {
        return Ok(output::json(figures)?);
    }
    let named = |preference: &Preference| match preference {
        Preference::First => format!("first: {}", args.inputs[0].display()),
        Preference::Second => format!("second: {}", args.inputs[1].display()),
        other => other.as_str().to_owned(),
    };
    let mut rows = vec![vec!["better".to_owned(), "pairs".to_owned()]];
    rows.extend(
        figures
            .preferences
            .iter()
            .map(|(preference, count)| vec![named(preference), count.to_string()]),
    );
    let mut lines = vec![output::table(&rows)];
    let unread = records.iter().filter_map(|record| Some((&record.name, record.reason.as_ref()?)));
    lines.extend(
        unread.map(|(name, reason)| plain::line(&format!("unread: {name}: {reason}")).into_owned()),
    );
    lines.push(String::new());
    lines.extend(figures.written.iter().map(|path| path.display().to_string()));
    output::text(&(lines.join("\n") + "\n"));
    Ok(())
}
