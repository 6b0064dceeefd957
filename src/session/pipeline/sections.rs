//! The sections of a pipeline, which are the flags of `gemscope detect`.
//!
//! The comments of the fields are the text of `--help`. A setting that is left out gets its default
//! only after all layers are merged, so that a flag can override a file.

// Field comments are shown in a terminal, where Markdown is noise.
#![allow(clippy::doc_markdown, rustdoc::broken_intra_doc_links)]

use std::path::PathBuf;
use std::time::Duration;

use super::layer::layers;
use super::least_scores::LeastScores;
use super::shard::ShardChoice;
use super::word::{
    Names, above_zero_word, count_word, one_or_many, seconds_word, share_word, word,
};
#[cfg(feature = "cli")]
use super::word::{above_zero, from_one, seconds, share};
use crate::device::DeviceChoice;
use crate::export::{GroupBy, SortBy};
use crate::model::Dtypes;
use crate::record::{
    Activations, AnswerKind, Area, Budget, CoordinateOrder, CoordinateScale, ScoreKind, Tiling,
};
use crate::server::{PictureForm, ServerKindChoice};
use crate::session::DecodingChoice;
use crate::source::{ByteSize, Frames, Moment};

layers! {
    /// The question.
    #[cfg_attr(feature = "cli", command(next_help_heading = "What to ask"))]
    pub struct TaskSection {
        /// The labels to find, separated by commas: "person,dog"; or @FILE with one label a line
        #[cfg_attr(feature = "cli", arg(long, short, value_name = "LABELS"))]
        pub labels: Option<Names>,
        /// Ask about each label by itself; slower, and often finds more. A view is encoded once for
        /// all of them
        #[cfg_attr(feature = "cli", arg(long, conflicts_with = "phrase"))]
        pub per_label: bool,
        /// The whole text of the question; {labels} in it stands for the labels
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT", conflicts_with = "phrase"))]
        pub prompt: Option<String>,
        /// One thing, described: "the dog on the left"
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "PHRASE", conflicts_with = "labels"))]
        pub phrase: Option<String>,
        /// The kind of answer: boxes, or text (a caption, a count), which is written to jsonl, csv
        /// and html and to no data set. Default: boxes for --labels and --phrase, and for a
        /// --prompt that begins with detect, find, locate or point or names box_2d; else text
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "KIND"))]
        pub answer: Option<AnswerKind>,
        /// With --answer text or --clip: answer with these fields, a JSON schema of one object with
        /// strings, words to choose from (enum), booleans, numbers and lists; its answers are held
        /// to it, and go into jsonl and csv field by field. With --clip, events stands for a list of
        /// what happens, each with its start and end
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
        pub schema: Option<PathBuf>,
        /// A system prompt
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TEXT"))]
        pub system: Option<String>,
        /// Let the model think before it answers (slower; its thoughts are kept in the raw answer)
        #[cfg_attr(feature = "cli", arg(long))]
        pub thinking: bool,
        /// Put the image between blank lines, as transformers.js and onnxruntime-genai do
        #[cfg_attr(feature = "cli", arg(long))]
        pub image_newlines: bool,
    }

    /// The questions about single images.
    #[cfg_attr(feature = "cli", command(next_help_heading = "What to ask"))]
    pub struct PromptsSection {
        /// Questions about single images: a CSV with the columns image, and labels or prompt, or
        /// JSON lines with these keys. The other flags apply to images without a row, and to
        /// columns that a row leaves empty
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
        pub prompts: Option<PathBuf>,
    }

    /// Which images.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct ChoiceSection {
        /// Leave out files and folders of this name ("*_thumb.jpg", thumbs) or path ("2023/raw",
        /// "raw/**/*.png"). May be given several times
        #[serde(deserialize_with = "one_or_many")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "GLOB"))]
        pub exclude: Vec<String>,
        /// Search folders no deeper than this; 1 is the folder itself
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u32>))]
        pub max_depth: Option<u32>,
        /// Take only the first N images by name
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", conflicts_with = "sample",
            value_parser = from_one::<u32>))]
        pub limit: Option<u32>,
        /// Take only N images, drawn by --seed: 50 of 50,000 first. The same command with a larger
        /// N, or without, goes on with the others
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u32>))]
        pub sample: Option<u32>,
        /// Read videos (mp4, mov, mkv, webm, avi, m4v), too, by ffmpeg: each of these frames is an
        /// image. every:1s (a time), every:30 (frames), 32 (so many, evenly), keyframes, or
        /// scene:0.3 (cuts). Without it, videos are passed over
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "WHICH"))]
        pub frames: Option<Frames>,
        /// With --frames: no frame before this time of the video (90, 1:30, 01:02:03.5)
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TIME", requires = "frames"))]
        pub start: Option<Moment>,
        /// With --frames: no frame at or after this time
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TIME", requires = "frames"))]
        pub end: Option<Moment>,
        /// Images on the web (https://...) of more bytes fail: 1000, 64K, 256M, 2G. Of an archive
        /// there, each image [default: 256M]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SIZE"))]
        pub max_bytes: Option<ByteSize>,
        /// Take part I, from 0, of N parts of the images, on one of N machines: 0/4; slurm takes
        /// the number of the task in a job array, kubernetes/N that of the pod in an Indexed Job.
        /// Each machine has an --out of its own; `gemscope export RUN RUN ... --to run --out DIR`
        /// makes one of them
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "I/N"))]
        pub shard: Option<ShardChoice>,
    }

    /// Whether videos are asked about as a whole.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct ClipSection {
        /// Ask about each video as a whole: the model is shown 32 frames of it, with their times, and
        /// answers in words (--prompt, and --schema for fields). Images are passed over
        #[cfg_attr(feature = "cli", arg(long, conflicts_with = "frames"))]
        pub clip: bool,
    }

    /// How images are read.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct ImageSection {
        /// Take the pixels as they are stored; do not turn them as EXIF says
        #[cfg_attr(feature = "cli", arg(long))]
        pub no_exif: bool,
    }

    /// How much is read of a file.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct LimitSection {
        /// Files that claim more pixels fail (memory for about ten times as many bytes is needed)
        /// [default: 178956970]
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u64>))]
        pub max_pixels: Option<u64>,
        /// JPEGs that end early are decoded as far as they go; those with a smaller share of their
        /// rows fail [default: 0.25]
        #[serde(deserialize_with = "share_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE", value_parser = share::<f64>))]
        pub min_rows: Option<f64>,
    }

    /// How much of an image the model sees.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct BudgetSection {
        /// Soft tokens of an image: 70, 140, 280, 560, 1120, or auto (the smallest that does not
        /// shrink it). Default: the model's own
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, short, value_name = "TOKENS"))]
        pub budget: Option<String>,
        /// The most that auto may choose [default: 1120]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TOKENS"))]
        pub max_budget: Option<Budget>,
    }

    /// The views of an image.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Images"))]
    pub struct ViewSection {
        /// Show tiles besides the whole image: SIZE[:OVERLAP] in pixels, COLUMNSxROWS[:OVERLAP], or
        /// auto (if the budget would shrink the image). OVERLAP is a share (0.25) or pixels (100)
        /// [default: 0.2]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "TILES"))]
        pub tiles: Option<Tiling>,
        /// Decode only as many pixels of a JPEG as the budget needs. Faster with large images, but
        /// inexact: answers may change. Needs a build with the feature turbojpeg
        #[cfg_attr(feature = "cli", arg(long, conflicts_with = "tiles"))]
        pub fast_decode: bool,
    }

    /// The model, and its device.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Model and device"))]
    pub struct ModelSection {
        /// A directory with a Gemma 4 ONNX export; or OWNER/NAME (hf:OWNER/NAME@REVISION), a model
        /// that `gemscope model download` has fetched; or demo, the bundled model, which knows only
        /// coloured shapes (./demo is a folder of that name); or script:FILE, answers for tests.
        /// Default: $GEMSCOPE_MODEL; without it the demo model answers, but only questions made of
        /// its own words
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, short, value_name = "MODEL"))]
        pub model: Option<PathBuf>,
        /// Which graphs, by their suffix: fp32, fp16, q8, q4, q4f16 ..., for all or for each:
        /// vision=fp16,decoder=q4f16. Default: the first that is there
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SUFFIX"))]
        pub dtype: Option<Dtypes>,
        /// How products with weights of 4 or 8 bits take what they are multiplied with: int8
        /// (rounded, in integers: faster on CPUs) or float. Another model, as far as runs are
        /// concerned. Default: as the graphs say
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "KIND"))]
        pub activations: Option<Activations>,
        /// Threads inside ONNX Runtime. Default: all cores
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u16>))]
        pub threads: Option<u16>,
        /// Keep the graphs as ONNX Runtime makes them ready in the cache directory: the next start
        /// with this model is several times as fast. Takes about as much disk as the graphs do
        #[cfg_attr(feature = "cli", arg(long))]
        pub keep_graphs: bool,
        /// Run graphs that are known to compute something else than Gemma 4, as some exports do
        #[cfg_attr(feature = "cli", arg(long))]
        pub allow_inexact: bool,
        /// The device.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub device: DeviceSection,
        /// A server in its place.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub server: ServerSection,
    }

    /// A server that has the model.
    #[cfg_attr(feature = "cli", command(next_help_heading = "A server in place of a model"))]
    pub struct ServerSection {
        /// The address of a server that has the model: Ollama, llama.cpp, LM Studio, vLLM, or
        /// another one of OpenAI's API (http://localhost:11434). Its key, if it wants one:
        /// $GEMSCOPE_SERVER_KEY, else $OPENAI_API_KEY
        #[serde(deserialize_with = "word")]
        #[cfg_attr(
            feature = "cli",
            arg(
                long,
                value_name = "URL",
                conflicts_with_all = ["model", "device", "dtype", "activations", "threads",
                    "keep_graphs", "allow_inexact"]
            )
        )]
        pub server: Option<String>,
        /// The model's name there. Default: the only one
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "NAME"))]
        pub server_model: Option<String>,
        /// The kind of server: auto (recognised by its answers), vllm, llama, ollama or openai
        /// [default: auto]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "KIND"))]
        pub server_kind: Option<ServerKindChoice>,
        /// How pictures are sent: png, or jpeg, which is smaller and changes pixels [default: png]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FORM"))]
        pub server_pictures: Option<PictureForm>,
        /// How long to wait for a server that is away or busy before the run stops [default: 30]
        #[serde(deserialize_with = "seconds_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SECONDS", value_parser = seconds))]
        pub server_wait: Option<Duration>,
        /// Images that are asked about at the same time. Default: 4; of Ollama 1, of llama.cpp at
        /// most its slots
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u16>))]
        pub concurrency: Option<u16>,
    }

    /// The device.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Model and device"))]
    pub struct DeviceSection {
        /// The device: auto, cpu, cuda (the card with the most free memory), cuda:N, or several
        /// cards: cuda:0,1 or cuda:all; else $GEMSCOPE_DEVICE. auto uses a CUDA card if one works,
        /// and the CPU otherwise; cuda never falls back to the CPU [default: auto]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "DEVICE"))]
        pub device: Option<DeviceChoice>,
    }

    /// How answers are generated.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Answers"))]
    pub struct DecodingSection {
        /// grammar: only well-formed lists of boxes can be written, and forced tokens are not
        /// decoded one by one; free: any text. Default: grammar for --labels and --phrase, free for
        /// --prompt and with --thinking
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "HOW"))]
        pub decoding: Option<DecodingChoice>,
        /// Under the grammar, let labels be any text instead of those asked for
        #[cfg_attr(feature = "cli", arg(long))]
        pub open_labels: bool,
        /// Under the grammar, the most boxes of an answer [default: 300]
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u32>))]
        pub max_boxes: Option<u32>,
        /// The most tokens of an answer (a box takes about 25 to 45) [default: 2048]
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u32>))]
        pub max_new_tokens: Option<u32>,
        /// Answers that are written at the same time; they are the same whatever their number.
        /// Default: 32, or as many as 1 GB of cache holds
        #[serde(deserialize_with = "count_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N", value_parser = from_one::<u16>))]
        pub batch: Option<u16>,
        /// How tokens are chosen.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub sampling: SamplingSection,
    }

    /// How tokens are chosen.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Answers"))]
    pub struct SamplingSection {
        /// Draw tokens instead of taking the most probable; 1.0 is Google's setting
        #[serde(deserialize_with = "above_zero_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "T", value_parser = above_zero::<f32>))]
        pub temperature: Option<f32>,
        /// With --temperature: only the most probable tokens up to this sum [default: 0.95]
        #[serde(deserialize_with = "share_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "P", value_parser = share::<f32>))]
        pub top_p: Option<f32>,
        /// With --temperature: only this many of the most probable tokens; 0 is no limit [default:
        /// 64]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "K"))]
        pub top_k: Option<usize>,
        /// With --temperature: the same seed gives the same answers; with --sample: the same images
        /// [default: 0]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "N"))]
        pub seed: Option<u64>,
    }

    /// The unit and order of the numbers of a box.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Answers"))]
    pub struct CoordinateSection {
        /// The unit of the numbers of a box: 1000 (thousandths of the image), 1 (shares of it) or
        /// pixels. Boxes that do not fit the unit are dropped, with the note coordinates_do_not_fit
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SCALE"))]
        pub coordinates: Option<CoordinateScale>,
        /// The order of the numbers of a box: yxyx (ymin, xmin, ymax, xmax) or xyxy [default: yxyx]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "ORDER"))]
        pub order: Option<CoordinateOrder>,
    }

    /// How answers are read.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Answers"))]
    pub struct RuleSection {
        /// The unit and order of the numbers of a box.
        #[serde(flatten)]
        #[cfg_attr(feature = "cli", command(flatten))]
        pub coordinates: CoordinateSection,
        /// With --tiles: merge boxes of different views whose overlap, as a share of the smaller
        /// box, is at least this [default: 0.5]
        #[serde(deserialize_with = "share_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SHARE", value_parser = share::<f64>))]
        pub join: Option<f64>,
    }

    /// Which boxes are exported, and under which labels and scores. The model is not asked again
    /// for another choice.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Which boxes are exported (can be \
        changed later: no model is asked again)"))]
    pub struct FilterSection {
        /// The score of a box: coordinates (the probability of its coordinates' tokens), label (of
        /// its label's tokens), joint (their product), or stated (the confidence that the answer
        /// writes beside the box) [default: joint]
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "KIND"))]
        pub score: Option<ScoreKind>,
        /// Make probabilities of the scores, as `gemscope eval --calibrate` learned it
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
        pub calibration: Option<PathBuf>,
        /// Leave out boxes below this score, and boxes without one; with a label, of that label:
        /// person=0.4,dog=0.2 or 0.1,person=0.4. Default: boxes below 0.05 (joint), 0.2 (label) or
        /// 0 (coordinates, stated), before calibration; 0 keeps every box that has a score
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SCORES"))]
        pub min_score: Option<LeastScores>,
        /// Leave out boxes smaller than this: square pixels (400), or a share of the image (0.5%)
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "AREA"))]
        pub min_area: Option<Area>,
        /// Leave out boxes larger than this
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "AREA"))]
        pub max_area: Option<Area>,
        /// Leave out boxes narrower than this, as width over height
        #[serde(deserialize_with = "above_zero_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "RATIO",
            value_parser = above_zero::<f64>))]
        pub min_aspect: Option<f64>,
        /// Leave out boxes wider than this, as width over height
        #[serde(deserialize_with = "above_zero_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "RATIO",
            value_parser = above_zero::<f64>))]
        pub max_aspect: Option<f64>,
        /// Leave out boxes that touch the image's edge
        #[cfg_attr(feature = "cli", arg(long, value_name = "true|false", num_args = 0..=1,
            require_equals = true, default_missing_value = "true"))]
        pub drop_edge: Option<bool>,
        /// Boxes of one label that overlap so much are one box; 0 keeps all [default: 0.95]
        #[serde(deserialize_with = "share_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "IOU", value_parser = share::<f64>))]
        pub duplicates: Option<f64>,
        /// Of boxes of one label that overlap more than this, keep the one with the best score
        #[serde(deserialize_with = "share_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "IOU", value_parser = share::<f64>))]
        pub nms: Option<f64>,
        /// With --nms: whatever their labels
        #[cfg_attr(feature = "cli", arg(long, value_name = "true|false", num_args = 0..=1,
            require_equals = true, default_missing_value = "true"))]
        pub nms_agnostic: Option<bool>,
        /// A TOML file of other words for labels, one a line: "automobile" = "car"; with "" on the
        /// right their boxes are left out
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FILE"))]
        pub labels_map: Option<PathBuf>,
        /// Leave out boxes whose label was not asked for
        #[cfg_attr(feature = "cli", arg(long, value_name = "true|false", num_args = 0..=1,
            require_equals = true, default_missing_value = "true"))]
        pub strict_labels: Option<bool>,
    }

    /// How a run goes: nothing that an answer depends on.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Going on"))]
    pub struct RunSection {
        /// Keep the records of images that are not there any more in the exports. Without it they
        /// are left out and counted
        #[cfg_attr(feature = "cli", arg(long))]
        pub keep_missing: bool,
        /// Flush answers to disk at least this often, so that they survive a power cut; 0 flushes
        /// each before the next. A process that is killed loses none either way [default: 1]
        #[serde(deserialize_with = "seconds_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SECONDS", value_parser = seconds))]
        pub sync_every: Option<Duration>,
        /// Images whose answers take longer, from when the model took them up, fail. Without it
        /// answers are waited for
        #[serde(deserialize_with = "seconds_word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "SECONDS", value_parser = seconds))]
        pub answer_timeout: Option<Duration>,
    }

    /// The formats to write.
    #[cfg_attr(feature = "cli", command(next_help_heading = "Output"))]
    pub struct ExportSection {
        /// Formats to write, separated by commas: jsonl, csv, coco, yolo, voc, label-studio,
        /// counts, crops, overlay, html; or none [default: jsonl,coco,counts,crops]
        #[cfg_attr(feature = "cli", arg(long, value_name = "FORMATS"))]
        pub export: Option<Names>,
        /// Put the images into folders by what was found in them, as links or copies: a folder for
        /// each label (--labels-map puts several into one), empty, and unsure for those without a
        /// whole answer
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "HOW"))]
        pub sort: Option<SortBy>,
        /// Sum up frames of videos by their clip, in clips.csv: the first and last time of each
        /// label, and the most at once
        #[serde(deserialize_with = "word")]
        #[cfg_attr(feature = "cli", arg(long, value_name = "KEY"))]
        pub group_by: Option<GroupBy>,
    }
}
