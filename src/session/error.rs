//! Why a session cannot be opened or go on.

use std::path::PathBuf;

use thiserror::Error;

use super::PipelineError;
use crate::critique::RubricError;
use crate::engine::{EngineError, ScriptError};
use crate::generate::{GrammarError, WordsError};
use crate::hub::{HubError, ModelId};
use crate::image_table::TableError;
use crate::journal::RunDirectoryError;
use crate::model::{GraphError, LayoutError, ModelError, demo};
use crate::onnxruntime::RuntimeError;
use crate::ownership::OwnershipError;
use crate::prompt::PromptError;
use crate::run::RunError;
use crate::server::ServerError;

/// Why a session cannot be opened or go on.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The bundled demo model was asked for something that it does not know.
    #[error(
        "{question} needs a model. Without one, a bundled demo model answers that knows only the \
         words {}, each also behind one of {} (\"red circle\")",
        demo::SHAPES.join(", "),
        demo::COLOURS.join(", ")
    )]
    NeedsModel {
        /// The question.
        question: String,
    },
    /// The questions of a rubric are not the demo model's own.
    #[error(
        "the questions of {rubric:?} need a model. Without one, a bundled demo model answers that \
         knows only the rubric demo"
    )]
    RubricNeedsModel {
        /// The rubric's name.
        rubric: String,
    },
    /// Nothing is asked.
    #[error(
        "nothing is asked: labels, a phrase or a prompt are needed, for all images or for each by \
         itself"
    )]
    NothingAsked,
    /// This build decodes whole images only.
    #[error(
        "`fast_decode` needs libjpeg-turbo, which this build lacks: build with `--features \
         turbojpeg`"
    )]
    NoFastDecode,
    /// A server was to be asked about whole videos.
    #[error(
        "a server takes no video here: a whole clip is asked about with graphs, or its frames one by \
         one"
    )]
    ClipOnServer,
    /// Single images were to be asked about as whole videos.
    #[error("whole clips are asked about in a run over files, not one by one")]
    ClipAlone,
    /// Boxes were asked for in whole videos.
    #[error("a whole clip is asked by a prompt, and answered in words: boxes are of single frames")]
    NoBoxesInClip,
    /// Pairs were to be compared of a part of the frames.
    #[error("pairs of frames are compared by one machine: leave out shard")]
    ShardOfPairs,
    /// A grammar leaves no room for thoughts.
    #[error("a grammar leaves no room for thoughts: think without one, or do not think")]
    NoRoomForThoughts,
    /// A grammar leaves no room for text.
    #[error("a grammar leaves no room for text: ask for boxes, or decode freely")]
    NoRoomForText,
    /// A model is looked at, and there are only the answers of a script.
    #[error("{}: a script of answers is no model", .0.display())]
    NoModel(PathBuf),
    /// The caller gave no engine.
    #[error("there is no engine to answer")]
    NoEngine,
    /// Folders were watched, and nothing came.
    #[error("no image came while the folders were watched")]
    NothingCame,
    /// A model is looked at, and it is on a server.
    #[error("a server's model has no files here")]
    ServerHasNoFiles,
    /// A grammar was chosen for an engine that takes none.
    #[error("what answers here cannot be held to a grammar: decode freely")]
    NoTokenizer,
    /// Labels make no grammar.
    #[error("the labels make no grammar: {0}")]
    NoGrammar(GrammarError),
    /// A question for each label, without labels.
    #[error("a question for each label needs labels")]
    NoLabelsToSplit,
    /// A question for each label, all of the same words.
    #[error(
        "a question for each label needs {{labels}} in the prompt, or every question is the same"
    )]
    SameQuestions,
    /// A prompt stands for labels that are not there.
    #[error("the prompt has {{labels}} in it, but there are no labels")]
    LacksLabels,
    /// The labels make the prompt too long.
    #[error("{labels} labels: {error}")]
    TooManyLabels {
        /// How many.
        labels: usize,
        /// The tokenizer's error.
        error: PromptError,
    },
    /// The question in a row of a table about one image.
    #[error("{}:{line}: {image}: {error}", path.display())]
    OfRow {
        /// The table.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The image.
        image: String,
        /// The problem.
        error: Box<SessionError>,
    },
    /// An image that two rows of a table name.
    #[error("{}:{line}: {image} has a row already", path.display())]
    SecondRow {
        /// The table.
        path: PathBuf,
        /// Counted from 1.
        line: u64,
        /// The image.
        image: String,
    },
    /// Images without a row in a table, and without a question about every image.
    #[error(
        "{} has no row for {without} of {images} images: {first}; add them (by these names), or \
         say with labels, a phrase or a prompt what to ask about them",
        path.display()
    )]
    NoRow {
        /// The table.
        path: PathBuf,
        /// How many.
        without: usize,
        /// The number of images.
        images: usize,
        /// The first of them.
        first: String,
    },
    /// The graphs compute something else than Gemma 4.
    #[error("{} is a wrong export of Gemma 4: {faults}", directory.display())]
    Inexact {
        /// The model.
        directory: PathBuf,
        /// Their faults.
        faults: String,
    },
    /// A file of the model directory is missing or broken.
    #[error("the model directory is not complete: {0}")]
    IncompleteModel(PromptError),
    /// The graphs do not load on a card.
    #[error(
        "the model does not run on {card} (`gemscope doctor` says what was found; the CPU does \
         without it): {error}"
    )]
    OnCard {
        /// The card.
        card: String,
        /// Why.
        error: ModelError,
    },
    /// No precision of a published model is known to suit this machine.
    #[error(
        "none of the precisions of {id} ({published}) is known to run well here: name the one \
         that is wanted"
    )]
    NoPrecision {
        /// The model.
        id: ModelId,
        /// The published precisions.
        published: String,
    },
    /// A repository that says it has a file, and has not.
    #[error("{id} is not whole: its {graph} needs {file}, which the repository does not have")]
    NotPublished {
        /// The model.
        id: ModelId,
        /// The graph.
        graph: String,
        /// The file.
        file: String,
    },
    /// An error of the Hub, or its cache.
    #[error(transparent)]
    Hub(#[from] HubError),
    /// An error of the model's files.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An error of the model.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// An error of a graph.
    #[error(transparent)]
    Graph(#[from] GraphError),
    /// The version of ONNX Runtime.
    #[error(transparent)]
    Runtime(#[from] RuntimeError),
    /// An error of a prompt.
    #[error(transparent)]
    Prompt(#[from] PromptError),
    /// An error of a grammar.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// An error of the words of an axis.
    #[error(transparent)]
    Words(#[from] WordsError),
    /// An error of a rubric.
    #[error(transparent)]
    Rubric(#[from] RubricError),
    /// An error of a table with a row for each image.
    #[error(transparent)]
    Table(#[from] TableError),
    /// An error of an engine.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// An error of a pipeline, or of flags.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// An error of a server.
    #[error(transparent)]
    Server(#[from] ServerError),
    /// A script cannot be read.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// An error of a run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// An error of the directory of a run.
    #[error(transparent)]
    Directory(#[from] RunDirectoryError),
    /// An error of an output directory.
    #[error(transparent)]
    Ownership(#[from] OwnershipError),
    /// An error of one image.
    #[error("{0}")]
    Image(String),
    /// The caller gave a batch up.
    #[error("stopped")]
    Stopped,
}
