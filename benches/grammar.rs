//! What a grammar costs, with Gemma 4's vocabulary of 262144: `cargo bench --bench grammar`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::io::Read as _;
use std::path::Path;

use criterion::{Criterion, criterion_group, criterion_main};
use gemscope::generate::{GrammarFactory, Labels};
use gemscope::prompt::TextTokenizer;

const ANSWER: &str = "```json\n[\n  {\"box_2d\": [244, 256, 948, 405], \"label\": \"person\"},\n  \
                      {\"box_2d\": [357, 606, 655, 803], \"label\": \"traffic light\"}\n]\n```";

fn grammar(criterion: &mut Criterion) {
    let packed = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/gemma4/tokenizer.json.gz");
    let mut json = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(packed).unwrap())
        .read_to_end(&mut json)
        .unwrap();
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("tokenizer.json"), json).unwrap();
    let tokenizer = TextTokenizer::open(directory.path()).unwrap();
    let labels = ["person".to_owned(), "traffic light".to_owned()];
    let ids = tokenizer.encode(ANSWER).unwrap();

    let mut group = criterion.benchmark_group("grammar");
    group.sample_size(10);
    group.bench_function("vocabulary", |bencher| {
        bencher.iter(|| GrammarFactory::new(&tokenizer, &[1, 106]).unwrap());
    });
    group.sample_size(100);
    let factory = GrammarFactory::new(&tokenizer, &[1, 106]).unwrap();
    group.bench_function("of two labels", |bencher| {
        bencher.iter(|| factory.boxes(Labels::Of(&labels), 300).unwrap());
    });
    for (name, labels) in [("asked labels", Labels::Of(&labels)), ("open labels", Labels::Open)] {
        let grammar = factory.boxes(labels, 300).unwrap();
        // Every token by its mask, none forced: an upper bound of what an answer of two boxes
        // costs.
        group.bench_function(format!("masks of {} tokens, {name}", ids.len()), |bencher| {
            bencher.iter(|| assert!(grammar.allows(&ids).unwrap()));
        });
    }
    group.finish();
}

criterion_group!(benches, grammar);
criterion_main!(benches);
