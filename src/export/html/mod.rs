//! `report/`: a page for a browser that shows a run, and the thumbnails beside it.
//!
//! In: records, the manifest and, if they are available, the images. Out: `index.html`, which holds
//! style, script and data and loads nothing but pictures, and `thumbnails/`. Promises: nothing that
//! comes from a run (names, labels, answers) can become markup or script; the page needs no
//! network; an image that cannot be read has a placeholder and a remark.

mod data;
mod thumbnail;

use rayon::prelude::*;

use super::folder::Fresh;
use super::upright::Images;
use super::{ExportError, Exported, Input, Run};
use crate::ownership::OutputDirectory;
use crate::page::{RunPage, relative_link};
use crate::record::Record;
use data::Data;
pub(super) use data::facts;

const PAGE: RunPage = RunPage {
    kind: "report",
    item: "image",
    search: "search by name",
    template: include_str!("page/report.html"),
    style: include_str!("page/report.css"),
    choice: include_str!("page/select.js"),
    scripts: &[include_str!("page/report.js"), include_str!("page/view.js")],
};

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let folder = Fresh::begin(out, "report")?;
    let seen = draw_thumbnails(input.run, input.records, "html", &folder, exported)?;
    let link =
        input.run.images.as_deref().and_then(|images| relative_link(&out.join("report"), images));
    let page = PAGE
        .whole(&Data::of(input, &seen, link))
        .map_err(|error| ExportError::Write { path: out.join("report/index.html"), error })?;
    folder.write("index.html", page.as_bytes())?;
    folder.put(exported)
}

/// Writes `thumbnails/` with a thumbnail of every image of `records` that can be read, and says of
/// each record whether there is one. `name` is what the export is called in remarks.
pub(super) fn draw_thumbnails(
    run: &Run,
    records: &[Record],
    name: &str,
    folder: &Fresh<'_>,
    exported: &mut Exported,
) -> Result<Vec<bool>, ExportError> {
    folder.folder("thumbnails")?;
    let images = Images::of(run, records);
    let images = match &images {
        Ok(images) => images,
        // Without a folder of images the page is still worth having.
        Err(reason) => {
            exported.remarks.push(format!("{name}: no thumbnails: {reason}"));
            return Ok(vec![false; records.len()]);
        }
    };
    let draw = |(index, record)| match thumbnail::of(record, images) {
        Ok(bytes) => {
            folder.write_named(&format!("thumbnails/{}", data::thumbnail_name(index)), &bytes)
        }
        Err(reason) => Ok(Err(reason)),
    };
    let made: Vec<Result<(), String>> =
        records.par_iter().enumerate().map(draw).collect::<Result<_, _>>()?;
    // The record of a file that was no image already says so.
    let answered = records.iter().zip(&made).filter(|(record, _)| record.width > 0);
    let missing: Vec<_> =
        answered.filter_map(|(record, made)| Some((&record.image, made.as_ref().err()?))).collect();
    if let [(image, reason), rest @ ..] = missing.as_slice() {
        let others = if rest.is_empty() {
            String::new()
        } else {
            format!(" (and of {} others)", rest.len())
        };
        exported.remarks.push(format!("{name}: no thumbnail of {image}{others}: {reason}"));
        exported.images_missed += missing.len();
    }
    Ok(made.iter().map(Result::is_ok).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_safe() {
        PAGE.check();
    }
}
