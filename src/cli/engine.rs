//! From arguments to a model that answers.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, anyhow, bail};
use gemscope::generate::BatchLimits;
use gemscope::model::{Dtypes, GraphFiles, Model, ModelConfig, OpenOptions, demo};
use gemscope::preprocess::Budget;
use gemscope::prompt::{Conversation, Prompter, Room, Task};
use gemscope::run::Engine;
use gemscope::runtime::{self, Cards, Device, DeviceChoice, ModelSize, Runtime};

use super::{Global, messages};

/// Which model, and on what.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ModelArgs {
    /// A directory with a Gemma 4 ONNX export; or demo, the bundled model, which knows only coloured shapes (./demo is a folder of that name).
    /// Default: $GEMSCOPE_MODEL; without it the demo model answers, but only questions made of its own words
    #[arg(long, short, value_name = "DIR")]
    pub(crate) model: Option<PathBuf>,
    /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each: vision=fp16,decoder=q4f16. Default: the
    /// first that is there
    #[arg(long, value_name = "SUFFIX")]
    pub(crate) dtype: Option<Dtypes>,
    /// Threads inside ONNX Runtime. Default: all cores
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) threads: Option<u16>,
    /// Keep the graphs as ONNX Runtime makes them ready in the cache directory: the next start with this model is several times as fast. Takes
    /// about as much disk as the graphs do
    #[arg(long)]
    pub(crate) keep_graphs: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

impl ModelArgs {
    /// Which model that is.
    pub(crate) fn choice(&self) -> ModelChoice {
        ModelChoice::of(self.model.as_deref())
    }
}

/// Which model a command was told to use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ModelChoice {
    /// None was named: the bundled demo model, as far as its words go.
    Unnamed,
    /// The bundled demo model, by its name: whatever is asked.
    Demo,
    /// The one in a directory.
    Directory(PathBuf),
}

impl ModelChoice {
    /// The one that a flag names, else the one that `GEMSCOPE_MODEL` names.
    pub(crate) fn of(flag: Option<&Path>) -> Self {
        let variable = || std::env::var_os("GEMSCOPE_MODEL").filter(|value| !value.is_empty()).map(PathBuf::from);
        match flag.map(Path::to_owned).or_else(variable) {
            None => Self::Unnamed,
            Some(name) if name.as_os_str() == demo::NAME => Self::Demo,
            Some(directory) => Self::Directory(directory),
        }
    }

    /// Whether it may be asked `task` in such a conversation.
    ///
    /// # Errors
    /// Where the demo model was not named, and the question is not made of its words.
    pub(crate) fn check(&self, task: &Task, conversation: &Conversation) -> anyhow::Result<()> {
        let Conversation { system, thinking, .. } = conversation;
        if *self != Self::Unnamed || system.is_none() && !thinking && demo::knows(task) {
            return Ok(());
        }
        let asked = match (system, thinking) {
            (Some(_), _) => "--system".to_owned(),
            (None, true) => "--thinking".to_owned(),
            (None, false) => format!("{:?}", task.text()),
        };
        bail!(
            "{} needs a model: --model DIR or GEMSCOPE_MODEL=DIR. Without one, a bundled demo model answers that knows only {} in {}, asked for \
             by --labels (\"red circle,star\") or \"detect shape\"; --model demo lets it guess at anything",
            asked,
            demo::SHAPES.map(|shape| format!("{shape}s")).join(", "),
            demo::COLOURS.join(", "),
        )
    }

    /// Says which model answers, where none was named.
    pub(crate) fn say(&self) {
        if *self == Self::Unnamed {
            messages::say(&format!("Using {}. For anything else: --model DIR.", demo::DESCRIPTION));
        }
    }
}

/// What computes.
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub(crate) struct DeviceArgs {
    /// What computes: auto, cpu, cuda (the card with the most free memory), cuda:N, or several cards: cuda:0,1 or cuda:all; else
    /// $GEMSCOPE_DEVICE. `auto` is a CUDA card where one can be used, and the CPU where not; `cuda` never becomes the CPU [default: auto]
    #[arg(long, value_name = "DEVICE")]
    device: Option<DeviceChoice>,
}

impl DeviceArgs {
    /// What was asked for, by the flag or the variable; `None` where nothing was.
    fn asked(self) -> anyhow::Result<Option<DeviceChoice>> {
        let variable = || std::env::var("GEMSCOPE_DEVICE").ok().filter(|value| !value.is_empty());
        match (self.device, variable()) {
            (Some(device), _) => Ok(Some(device)),
            (None, Some(text)) => text.parse().map(Some).map_err(|error: String| anyhow!("GEMSCOPE_DEVICE: {error}")),
            (None, None) => Ok(None),
        }
    }

    /// ONNX Runtime for that device, installed first where that is needed and allowed. Where the CPU takes the place of a card that is
    /// there, that is said.
    ///
    /// # Errors
    /// Where there is none, or a CUDA device was insisted on and cannot be used.
    pub(crate) fn load_runtime(self, global: &Global) -> anyhow::Result<&'static Runtime> {
        let asked = self.asked()?;
        let options = global.runtime_options().with_device(asked.unwrap_or(DeviceChoice::Auto));
        let runtime = runtime::load(&options, &mut |line| messages::say(line))?;
        // Whoever has no card and did not ask for one is told nothing.
        if let Some(state) = &runtime.without_cuda
            && (asked == Some(DeviceChoice::Auto) || state.cards > 0)
        {
            let advice = state.advice().first().map_or(String::new(), |advice| format!(" To use a card: {advice}."));
            messages::say(&format!("Running on the CPU: {}.{advice}", state.obstacle()));
        }
        Ok(runtime)
    }

    /// The cards that were asked for; the best one where none was.
    pub(crate) fn cards(self) -> anyhow::Result<Cards> {
        Ok(match self.asked()? {
            Some(DeviceChoice::Cuda(cards)) => cards,
            _ => Cards::Best,
        })
    }

    fn insists_on_cuda(self) -> anyhow::Result<bool> {
        Ok(matches!(self.asked()?, Some(DeviceChoice::Cuda(_))))
    }
}

/// A model directory, of which no graph is loaded yet.
pub(crate) struct ModelFiles {
    pub(crate) directory: PathBuf,
    pub(crate) prompter: Arc<Prompter>,
    pub(crate) config: ModelConfig,
}

impl ModelFiles {
    /// Tokenizer, template and settings of a model directory: all that needs no graph. The demo model is unpacked where it is not yet.
    pub(crate) fn open(choice: &ModelChoice) -> anyhow::Result<Self> {
        let directory = match choice {
            ModelChoice::Directory(directory) => directory.clone(),
            ModelChoice::Demo | ModelChoice::Unnamed => demo::unpack(&runtime::cache_dir()?)?,
        };
        if !directory.is_dir() {
            bail!("{}: no such model directory", directory.display());
        }
        let prompter = Prompter::open(&directory).context("the model directory is not complete")?;
        let config = ModelConfig::read(&directory)?;
        config.check_stop_ids(&directory, &prompter.tokenizer)?;
        // The budget is not chosen yet: there is room for the largest, with the tokens around it.
        let image = Budget::MAX.soft_tokens() as usize + 2;
        let prompter = prompter.within(Room { context: config.context, image });
        Ok(Self { directory, prompter: Arc::new(prompter), config })
    }

    /// What a reader of results knows the model by.
    pub(crate) fn name(&self, args: &ModelArgs) -> String {
        let directory = self.directory.canonicalize().unwrap_or_else(|_| self.directory.clone());
        match (args.choice(), directory.file_name()) {
            (ModelChoice::Directory(_), Some(name)) => name.to_string_lossy().into_owned(),
            (ModelChoice::Directory(_), None) => directory.display().to_string(),
            _ => "the bundled demo model".to_owned(),
        }
    }

    /// The graphs that are to be used.
    pub(crate) fn graphs(&self, args: &ModelArgs) -> anyhow::Result<GraphFiles> {
        let graphs = GraphFiles::find(&self.directory, &args.dtype.clone().unwrap_or_default())?;
        if matches!(args.choice(), ModelChoice::Directory(_)) {
            let name = |path: &Path| path.strip_prefix(&self.directory).unwrap_or(path).display().to_string();
            let names = [&graphs.vision, &graphs.embedding, &graphs.decoder].map(|path| name(path)).join(", ");
            messages::say(&format!("Graphs: {names}"));
        }
        Ok(graphs)
    }

    /// Loads the graphs.
    ///
    /// # Errors
    /// Where that fails; on a card, with what else can be done.
    pub(crate) fn load(
        &self,
        graphs: GraphFiles,
        args: &ModelArgs,
        runtime: &Runtime,
        placement: Placement,
    ) -> anyhow::Result<Model> {
        let Placement { device, embed_on_device } = placement;
        let on_card = matches!(device, Device::Cuda(_)).then(|| device.to_string());
        let options = OpenOptions {
            threads: args.threads.map(usize::from),
            // Without a cache directory, the probes run every time.
            probe_cache: runtime::cache_dir().ok(),
            graph_cache: if args.keep_graphs { Some(runtime::cache_dir()?.join("graphs")) } else { None },
            device,
            embed_on_device,
        };
        let opened = Model::open(&self.directory, graphs, &self.prompter.tokenizer.special, runtime, &options);
        opened.map_err(|error| match on_card {
            Some(card) => anyhow!(error).context(format!(
                "the model does not run on {card} (`gemscope doctor` says what was found; --device cpu does without it)"
            )),
            None => error.into(),
        })
    }
}

/// What graphs run on.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// What computes.
    pub(crate) device: Device,
    /// Whether there is room on it for the table of embeddings too.
    pub(crate) embed_on_device: bool,
}

/// What the graphs are to run on, one of each: what the runtime came to, but the CPU where a model does not fit on a card that was not insisted on.
///
/// # Errors
/// Where `GEMSCOPE_DEVICE` is none.
pub(crate) fn place(
    graphs: &GraphFiles,
    budget: Budget,
    args: &ModelArgs,
    runtime: &Runtime,
) -> anyhow::Result<Vec<Placement>> {
    let mut placements = Vec::new();
    for device in std::iter::once(&runtime.device).chain(&runtime.others) {
        placements.extend(place_on(device, graphs, budget, args)?);
    }
    if placements.is_empty() {
        placements.push(Placement { device: Device::Cpu, embed_on_device: false });
    }
    Ok(placements)
}

/// The first of them, for what one engine does.
///
/// # Errors
/// As [`place`].
pub(crate) fn place_one(
    graphs: &GraphFiles,
    budget: Budget,
    args: &ModelArgs,
    runtime: &Runtime,
) -> anyhow::Result<Placement> {
    // There is always one.
    Ok(place(graphs, budget, args, runtime)?.swap_remove(0))
}

/// One of them; none where the CPU is the better place.
fn place_on(
    device: &Device,
    graphs: &GraphFiles,
    budget: Budget,
    args: &ModelArgs,
) -> anyhow::Result<Option<Placement>> {
    let Device::Cuda(card) = device else { return Ok(None) };
    let on_card = |embed_on_device| Some(Placement { device: device.clone(), embed_on_device });
    let Some(free) = card.free_bytes else { return Ok(on_card(false)) };
    let soft_tokens = u64::from(budget.soft_tokens());
    let size = ModelSize { weights: graphs.computing_bytes(), cache_per_token: 0, tokens: 0, soft_tokens };
    let needed = runtime::memory_budget(free, size, 1);
    if needed.rows > 0 {
        messages::say(&format!("Running on {device}."));
        // Half of what is left is for the answers that are written at once.
        let left = free - needed.weights - needed.workspace;
        return Ok(on_card(graphs.embedding_bytes() <= left / 2));
    }
    let short = format!("{device} has {} MiB free, and the model is thought to take {needed}", free >> 20);
    if args.device.insists_on_cuda()? {
        messages::say(&format!("{short}. It is tried, as you asked for it; --budget and --dtype make it smaller."));
        return Ok(on_card(false));
    }
    messages::say(&format!("Running on the CPU: {short}."));
    Ok(None)
}

/// One engine for each placement.
///
/// # Errors
/// Where a graph cannot be loaded.
pub(crate) fn engines(
    files: &ModelFiles,
    graphs: &GraphFiles,
    args: &ModelArgs,
    runtime: &Runtime,
    placements: Vec<Placement>,
    limits: impl Fn(&Model) -> anyhow::Result<BatchLimits>,
) -> anyhow::Result<Vec<Engine>> {
    let engine = |placement| {
        let model = files.load(graphs.clone(), args, runtime, placement)?;
        Ok(Engine { prompter: Arc::clone(&files.prompter), limits: limits(&model)?, model })
    };
    placements.into_iter().map(engine).collect()
}
