//! What reading an answer costs: `cargo bench --bench parse`. The answers are those of
//! `fixtures/answers`, and long ones that are whole, cut off, and hostile (nested brackets): time
//! must grow with the text, not faster.
#![allow(clippy::unwrap_used, missing_docs)]

use std::hint::black_box;
use std::path::Path;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gemscope::answer::parse;
use gemscope::record::Ended;

fn collected() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/answers/box2d_answers.jsonl");
    let text = std::fs::read_to_string(file).unwrap();
    let answer = |line: &str| {
        serde_json::from_str::<serde_json::Value>(line).unwrap()["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    text.lines().map(answer).collect()
}

fn boxes(count: usize) -> String {
    let object = |index: usize| {
        format!("  {{\"box_2d\": [{}, 10, 900, 990], \"label\": \"person\"}}", index % 900)
    };
    format!("```json\n[\n{}\n]\n```", (0..count).map(object).collect::<Vec<_>>().join(",\n"))
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("parse");
    let texts = collected();
    group.throughput(Throughput::Bytes(texts.iter().map(|text| text.len() as u64).sum()));
    group.bench_function("collected answers", |bencher| {
        bencher.iter(|| {
            for text in &texts {
                black_box(parse(black_box(text), Ended::Unknown));
            }
        });
    });
    for count in [10, 100, 1000] {
        let whole = boxes(count);
        let cut = &whole[..whole.len() - 30];
        let nested = "[".repeat(whole.len());
        for (name, text) in [("whole", &*whole), ("cut off", cut), ("nested", &*nested)] {
            group.throughput(Throughput::Bytes(text.len() as u64));
            group.bench_with_input(BenchmarkId::new(name, count), text, |bencher, text| {
                bencher.iter(|| parse(black_box(text), Ended::StopToken));
            });
        }
    }
    group.finish();
}

criterion_group!(benches, answers);
criterion_main!(benches);
