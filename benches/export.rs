//! What writing each format costs, for 10,000 images with three boxes each: `cargo bench --bench
//! export`. Formats that read the images (crops, overlays, the report) are left out: decoding is
//! what they cost, and `--bench preprocess` has that.
#![allow(clippy::unwrap_used, missing_docs)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gemscope::export::{Format, Options, Run, Selection, export};
use gemscope::ownership::OutputDirectory;
use gemscope::record::Record;
use serde_json::json;

const IMAGES: usize = 10_000;
const LABELS: [&str; 3] = ["person", "dog", "car"];

fn record(index: usize) -> Record {
    let detection = |place: usize| {
        let (label, x) = (LABELS[place], (index * 7 + place * 101) % 500);
        json!({"label": label, "bbox": [x, 20.5, x + 100, 320.25], "score": 0.875})
    };
    let line = json!({
        "schema": 1, "image": format!("folder/{index:06}.jpg"), "sha256": null, "width": 640,
            "height": 480, "orientation": 1,
        "status": "ok", "detections": [detection(0), detection(1), detection(2)], "notes": [],
            "answers": [],
    });
    serde_json::from_value(line).unwrap()
}

fn formats(criterion: &mut Criterion) {
    let records: Vec<Record> = (0..IMAGES).map(record).collect();
    let labels = LABELS.map(str::to_owned).to_vec();
    let selection = Selection { records, labels, ..Selection::default() };
    let run = Run { selection, apply_orientation: true, ..Run::default() };
    let options = Options::default();
    let mut group = criterion.benchmark_group("export");
    group
        .throughput(Throughput::Elements(IMAGES as u64))
        .sample_size(10)
        .measurement_time(Duration::from_secs(5));
    for format in [Format::Jsonl, Format::Csv, Format::Coco, Format::LabelStudio, Format::Counts] {
        let folder = tempfile::tempdir().unwrap();
        let out = OutputDirectory::open(folder.path()).unwrap();
        group.bench_with_input(BenchmarkId::from_parameter(format), &format, |bencher, format| {
            bencher.iter(|| export(&run, &options, &[*format], &out));
        });
    }
    group.finish();
}

criterion_group!(benches, formats);
criterion_main!(benches);
