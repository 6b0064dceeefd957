//! `gemscope parse`: answers that were made elsewhere.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gemscope::answer::{self, Reading, Rules};
use gemscope::record::{Answer, BBox, Ended, Record};
use gemscope::run::{Manifest, RunDirectory};
use serde::Deserialize;

use super::{Ending, messages, output};

/// Read answers that were made elsewhere: one JSON object a line, `{"image":…,"width":…,"height":…,"text":…}`
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A file of answers, or - for standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Make a run directory, so that every export works on these answers
    #[arg(long, short, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Throw away what --out holds of an earlier run
    #[arg(long, visible_alias = "overwrite")]
    fresh: bool,
}

#[derive(Deserialize)]
struct Line {
    image: String,
    width: u32,
    height: u32,
    text: String,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<Ending> {
    let name = args.file.display().to_string();
    let reader: Box<dyn BufRead> = if name == "-" {
        Box::new(io::stdin().lock())
    } else {
        Box::new(BufReader::new(File::open(&args.file).with_context(|| name.clone())?))
    };
    let mut run = match &args.out {
        None => None,
        Some(out) => {
            let directory = RunDirectory::open(out, args.fresh)?;
            directory.settle(&Manifest::new(None, None))?;
            let (journal, known) = directory.journal(Duration::ZERO)?;
            if !known.is_empty() {
                bail!(
                    "{} holds answers already: choose another --out, or throw the run away with --fresh",
                    out.display()
                );
            }
            Some((directory, journal))
        }
    };
    let mut ending = Ending::Complete;
    let mut images = HashSet::new();
    for (index, line) in reader.lines().enumerate() {
        let line = match line {
            Ok(line) if line.trim().is_empty() => continue,
            Ok(line) => serde_json::from_str::<Line>(&line).map_err(|error| error.to_string()),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(error.to_string()),
            Err(error) => return Err(error).with_context(|| name.clone()),
        };
        let line = line.and_then(|line| {
            // A run has one record an image; the first answer stays.
            let again = run.is_some() && !images.insert(line.image.clone());
            if again { Err(format!("a second answer about {}", line.image)) } else { Ok(line) }
        });
        match line {
            Ok(line) => {
                let record = record(line);
                if let Some((_, journal)) = &mut run {
                    journal.append(&record)?;
                }
                output::json_line(&record)?;
            }
            Err(error) => {
                messages::error(&format!("{name}:{}: {error}", index + 1));
                ending = Ending::SomeFailed;
            }
        }
    }
    match &mut run {
        Some((_, journal)) => journal.sync()?,
        // What is printed is all there is.
        None if !output::is_whole() => bail!("not all records could be printed"),
        None => {}
    }
    Ok(ending)
}

fn record(line: Line) -> Record {
    let mut record = Record::failed(line.image, String::new());
    (record.width, record.height) = (line.width, line.height);
    let answer = Answer {
        view: BBox::whole(line.width, line.height),
        prompt: String::new(),
        text: line.text,
        ended: Ended::Unknown,
        tokens: None,
    };
    // Answers of elsewhere come without token probabilities, and nobody asked for certain labels.
    let reading = Reading { answer, default_label: None, spans: Vec::new(), sentences: Vec::new() };
    answer::read_into(&mut record, vec![reading], &[], &Rules::as_answered());
    record
}
