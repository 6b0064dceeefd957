//! `gemscope serve`: the tools that draw boxes ask over HTTP.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context as _, bail};
use gemscope::ffmpeg;
use gemscope::serve::{LabelStudioOptions, ServeError, ServeOptions, Served, Server, SheetServer};
use gemscope::session::pipeline::word::{from_one, seconds};
use gemscope::session::pipeline::{
    AnswerSection, DecodingSection, ModelSection, PreprocessSection, RunSection, TaskSection,
    TaskSections,
};
use gemscope::session::{DetectConfig, Observer, Pipeline, RunOptions, Session};

use super::{Ending, Global, device, messages, output, plain, raised, signals};

/// The token in the environment, where no list of processes shows it.
const TOKEN: &str = "GEMSCOPE_SERVE_TOKEN";

/// Answer annotation tools over HTTP: Label Studio, X-AnyLabeling, or POST /v1/detect
///
/// One model answers all; what was asked before is answered from the journal in --out, also after a
/// restart. Ctrl-C ends it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The directory of the journal: a run, which `gemscope export` reads
    #[arg(
        long,
        short,
        value_name = "DIR",
        required_unless_present = "sheet",
        help_heading = "Server"
    )]
    out: Option<PathBuf>,
    /// Show the contact sheet of the critique in RUN to a browser on this machine instead, and save
    /// the verdicts given there in the run. Asks no model
    #[arg(long, value_name = "RUN", conflicts_with_all = ["out", "token", "images", "queue",
        "max_body", "label_studio_url", "fetch_urls", "fetch_from", "answer_within", "fresh",
        "labels", "phrase", "prompt", "model", "server"],
        help_heading = "Server")]
    sheet: Option<PathBuf>,
    /// Where to listen: a port, or ADDRESS:PORT. Any address but that of this machine needs a token
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8000", help_heading = "Server")]
    listen: Listen,
    /// The token that every request must have (16 characters or more); better in
    /// $GEMSCOPE_SERVE_TOKEN, where no list of processes shows it
    #[arg(long, value_name = "TOKEN", help_heading = "Server")]
    token: Option<String>,
    /// The folder of images that are named by their paths: by Label Studio
    /// (/data/local-files/?d=PATH), or in POST /v1/detect. Default:
    /// $LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT; without it images are sent
    #[arg(long, value_name = "DIR", help_heading = "Server")]
    images: Option<PathBuf>,
    /// Images that wait for the model; further ones get the status 503
    #[arg(long, value_name = "N", default_value = "64", value_parser = from_one::<u16>,
        help_heading = "Server")]
    queue: u16,
    /// The most megabytes of a request
    #[arg(long, value_name = "MB", default_value = "64", value_parser = from_one::<u16>,
        help_heading = "Server")]
    max_body: u16,
    /// Label Studio's address, for images that were uploaded to it. Default: $LABEL_STUDIO_URL,
    /// else what it says of itself. Its token: $LABEL_STUDIO_API_KEY
    #[arg(long, value_name = "URL", help_heading = "Server")]
    label_studio_url: Option<String>,
    /// Fetch images of tasks from any public address on the web that they name
    #[arg(long, help_heading = "Server")]
    fetch_urls: bool,
    /// Fetch images of tasks from this server, also in a private network: http://10.0.0.5:9000. May
    /// be given more than once
    #[arg(long, value_name = "URL", help_heading = "Server")]
    fetch_from: Vec<String>,
    /// Answer Label Studio after so long with the tasks that are done; it waits 100 seconds
    #[arg(long, value_name = "SECONDS", default_value = "90", value_parser = seconds,
        help_heading = "Server")]
    answer_within: Duration,
    /// Throw away the journal in --out
    #[arg(long, help_heading = "Server")]
    fresh: bool,
    /// The question of requests that ask none.
    #[command(flatten)]
    task: TaskSection,
    #[command(flatten)]
    preprocess: PreprocessSection,
    #[command(flatten)]
    model: ModelSection,
    #[command(flatten)]
    decoding: DecodingSection,
    #[command(flatten)]
    answer: AnswerSection,
}

/// A port, or an address with a port.
#[derive(Debug, Clone, Copy)]
struct Listen(SocketAddr);

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(port) = text.parse::<u16>() {
            return Ok(Self(ServeOptions::on_port(port).address));
        }
        let text = text.replace("localhost:", "127.0.0.1:");
        text.parse().map(Self).map_err(|_| {
            format!("{text:?} is neither a port nor an address with one, such as 127.0.0.1:8000")
        })
    }
}

/// Says on stderr what the session has to say.
struct Said;

impl Observer for Said {
    fn say(&self, message: &str) {
        messages::say(message);
    }
}

impl Args {
    fn config(&self, global: &Global) -> anyhow::Result<DetectConfig> {
        let pipeline = Pipeline {
            task: TaskSections { task: self.task.clone(), ..TaskSections::default() },
            preprocess: self.preprocess.clone(),
            model: self.model.clone(),
            decoding: self.decoding.clone(),
            answer: self.answer.clone(),
            ..Pipeline::default()
        };
        let mut config = pipeline.config()?;
        config.model.runtime = global.runtime_options();
        if config.task.is_some() {
            config.check()?;
        }
        Ok(config)
    }

    fn options(&self) -> anyhow::Result<ServeOptions> {
        let mut options = ServeOptions::on_port(0);
        options.address = self.listen.0;
        let variable = || std::env::var(TOKEN).ok().filter(|token| !token.is_empty());
        options.token = self.token.clone().or_else(variable);
        options.queue = self.queue.into();
        options.max_body = u64::from(self.max_body) << 20;
        options.max_pixels = self.preprocess.limits.max_pixels();
        options.images = self.images.clone().or_else(LabelStudioOptions::images_from_env);
        if let Some(folder) = &options.images {
            let whole = folder.canonicalize();
            let whole = whole.with_context(|| format!("--images {}", folder.display()))?;
            if !whole.is_dir() {
                bail!("--images {}: this is no folder", folder.display());
            }
            options.images = Some(whole);
        }
        let label_studio = &mut options.label_studio;
        label_studio.url.clone_from(&self.label_studio_url);
        label_studio.fetch = self.fetch_urls;
        label_studio.fetch_from.clone_from(&self.fetch_from);
        label_studio.answer_within = self.answer_within;
        options.label_studio = options.label_studio.from_env();
        Ok(options)
    }
}

pub(crate) fn run(args: &Args, global: &Global) -> anyhow::Result<Ending> {
    match (&args.sheet, &args.out) {
        (Some(run), _) => show_sheet(run, args.listen.0),
        (None, Some(out)) => answer(args, out, global),
        (None, None) => bail!("--out names the directory of the journal"),
    }
}

/// Shows the contact sheet of a run.
fn show_sheet(run: &Path, address: SocketAddr) -> anyhow::Result<Ending> {
    let stop = signals::raised_by_signals("Stopping.")?;
    let server = SheetServer::bind(run, address).map_err(in_words)?;
    output::text(&format!("{}\n", server.url()?));
    messages::say("Open this address in a browser. Verdicts are saved in the run. Ctrl-C ends.");
    let saved = server.run(&stop);
    messages::say(&match saved {
        0 => "No verdicts were saved.".to_owned(),
        _ => format!(
            "Verdicts were saved. Lists, tables and sheet with them: gemscope critique \
             --report-only --out {}",
            plain::line(&run.display().to_string())
        ),
    });
    Ok(Ending::Complete)
}

/// Answers annotation tools.
fn answer(args: &Args, out: &Path, global: &Global) -> anyhow::Result<Ending> {
    let (config, options) = (args.config(global)?, args.options()?);
    device::say(&args.model);
    let stop = signals::raised_by_signals("Stopping: all answers that were given are written.")?;
    let mut session = Session::open_to_ask(config.clone(), &Said)?;
    let mut run = RunOptions::of(out);
    run.fresh = args.fresh;
    let control = RunSection::default().control(&args.preprocess.limits);
    session.set_control(control);
    let kept = session.keep_batches(options.images.clone(), &run).map_err(raised)?;
    if let Some(holder) = &kept.directory.killed {
        messages::say(&format!(
            "An earlier process was killed while it wrote this journal ({holder}); going on."
        ));
    }
    let token = options.token.is_some();
    let server = Server::bind(session, config, kept, options).map_err(in_words)?;
    let (address, known) = (server.address()?, server.known());
    output::text(&format!("http://{address}\n"));
    messages::say(&format!(
        "Label Studio: connect a model at this address. X-AnyLabeling: a remote server at it. \
         Other programs: POST /v1/detect?labels=... {} answers are known.{} Ctrl-C ends.",
        known,
        if token { " The token is needed." } else { "" }
    ));
    let served = server.run(&stop);
    // The model's thread may still wait for a picture that nobody gets.
    ffmpeg::end_children();
    let served = served.map_err(in_words)?;
    report(&served);
    Ok(Ending::Complete)
}

fn report(served: &Served) {
    let Served { asked, known, refused, failed } = served;
    messages::say(&plain::line(&format!(
        "{asked} images were answered by the model, {known} from the journal, {refused} refused \
         for a full queue, {failed} failed"
    )));
}

/// A server's error as its inner type, if it is about a run or an output directory.
fn in_words(error: ServeError) -> anyhow::Error {
    match error {
        ServeError::Journal(error) => error.into(),
        ServeError::Session(error) => raised(error),
        error => error.into(),
    }
}
