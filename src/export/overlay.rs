//! `overlays/`: every answered image with its boxes drawn, as a JPEG.
//!
//! In: records and the images. Out: a folder that mirrors the images' names. Promises: lines and
//! text grow with the image, and a small image is enlarged until its labels can be read; no tag
//! leaves the picture, and none hides another if there is room; a label has one colour in all
//! pictures of a run. Images without boxes are included: missed objects are half of what one looks
//! for.

use std::collections::HashMap;
use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{ImageEncoder as _, ImageFormat, RgbImage};

use super::draw::palette::{Colour, colour};
use super::draw::{Rect, fill, frame, text};
use super::folder::{Fresh, inside};
use super::upright::Images;
use super::{ExportError, Exported, Format, Input};
use crate::ownership::OutputDirectory;
use crate::preprocess::{TargetSize, resize};
use crate::record::{AnswerStatus, Detection, Record};

/// High enough that thin lines and letters keep clean edges.
const JPEG_QUALITY: u8 = 92;
/// The largest side that a JPEG can have.
const JPEG_MAX_SIDE: u32 = 65_535;

pub(super) fn write(
    input: &Input<'_>,
    out: &OutputDirectory,
    exported: &mut Exported,
) -> Result<(), ExportError> {
    let labels = input.labels;
    let colours: HashMap<&str, Colour> =
        labels.iter().enumerate().map(|(place, label)| (label.as_str(), colour(place))).collect();
    let mut answered: Vec<&Record> =
        input.records.iter().filter(|record| record.status != AnswerStatus::Failed).collect();
    let folder = Fresh::begin(out, "overlays")?;
    if !answered.is_empty() {
        let write = |record: &Record, pixels: &RgbImage| {
            let picture = draw(record, pixels, &colours);
            let name = name(&record.image, &picture);
            let bytes = encode(&picture);
            let bytes = bytes.map_err(|error| ExportError::Write {
                path: out.join("overlays").join(&name),
                error,
            })?;
            folder.write_named(&name, &bytes)
        };
        let images = Images::of(input.run, input.records)?;
        // The picture of an image that is not there any more cannot be drawn again.
        let keep = |record: &Record| {
            ["jpg", "png"].iter().any(|extension| folder.keep(&name_of(&record.image, extension)))
        };
        answered.retain(|record| images.is_there(record) || !keep(record));
        images.for_each(&answered, Format::Overlay, exported, write)?;
    }
    folder.put(exported)
}

/// `sub/photo.png_boxes.jpg`: the image's whole name stands in it, so no two pictures share a path.
fn name(image: &str, picture: &RgbImage) -> String {
    name_of(image, if fits_jpeg(picture) { "jpg" } else { "png" })
}

fn name_of(image: &str, extension: &str) -> String {
    format!("{}_boxes.{extension}", inside(image))
}

fn fits_jpeg(picture: &RgbImage) -> bool {
    picture.width().max(picture.height()) <= JPEG_MAX_SIDE
}

fn encode(picture: &RgbImage) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let encoded = if fits_jpeg(picture) {
        let encoder = JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY);
        encoder.write_image(
            picture,
            picture.width(),
            picture.height(),
            image::ExtendedColorType::Rgb8,
        )
    } else {
        picture.write_to(&mut Cursor::new(&mut bytes), ImageFormat::Png)
    };
    encoded.map(|()| bytes).map_err(std::io::Error::other)
}

/// The sizes of a picture's parts, in pixels.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Scale {
    /// How many times the picture is as large as the image.
    enlarged: u32,
    width: u32,
    height: u32,
    /// Thickness of a box's line.
    line: i64,
    /// Em of the text.
    text: f32,
}

impl Scale {
    fn of(width: u32, height: u32) -> Self {
        const LONG_SIDE: u32 = 720; // from which on a label takes a small part of the picture
        const SHORT_SIDE: u32 = 160; // a label's width
        const LARGEST: u32 = 16_384; // a strip of one pixel's height is not to become a giant
        let (long, short) = (width.max(height).max(1), width.min(height).max(1));
        let wanted = LONG_SIDE.div_ceil(long).max(SHORT_SIDE.div_ceil(short));
        let enlarged = wanted.min(LARGEST / long).max(1);
        let (width, height) = (width * enlarged, height * enlarged);
        let side = (f64::from(width) * f64::from(height)).sqrt();
        Self {
            enlarged,
            width,
            height,
            line: (side / 260.0).round().max(2.0) as i64,
            text: (side / 46.0).max(13.0) as f32,
        }
    }

    fn rect(&self, detection: &Detection) -> Rect {
        let scaled = |value: f64| (value * f64::from(self.enlarged)).round() as i64;
        let bbox = &detection.bbox;
        Rect { x0: scaled(bbox.x0), y0: scaled(bbox.y0), x1: scaled(bbox.x1), y1: scaled(bbox.y1) }
    }
}

/// A label on its ground.
#[derive(Debug, Clone)]
struct Tag {
    text: String,
    size: f32,
    padding: f32,
    rect: Rect,
}

fn draw(record: &Record, pixels: &RgbImage, colours: &HashMap<&str, Colour>) -> RgbImage {
    let scale = Scale::of(record.width, record.height);
    let mut picture = enlarge(pixels, &scale);
    let colour =
        |detection: &Detection| colours.get(detection.label.as_str()).copied().unwrap_or(colour(0));
    // Small boxes over large ones.
    let mut largest_first: Vec<&Detection> = record.detections.iter().collect();
    largest_first.sort_by(|a, b| b.bbox.area().total_cmp(&a.bbox.area()));
    let edge = (scale.line / 3).max(1);
    for detection in largest_first {
        let (rect, colour) = (scale.rect(detection), colour(detection));
        // Edged on both sides with what stands out from the colour: seen on a ground of the same
        // colour too.
        frame(&mut picture, rect.grown(scale.line / 2 + edge), scale.line + 2 * edge, colour.ink());
        frame(&mut picture, rect.grown(scale.line / 2), scale.line, colour);
    }
    for (detection, tag) in record.detections.iter().zip(tags(&record.detections, &scale)) {
        let colour = colour(detection);
        fill(&mut picture, tag.rect, colour);
        let place =
            (tag.rect.x0 as f32 + tag.padding, tag.rect.y0 as f32 + tag.size * text::BASELINE);
        text::draw(&mut picture, &tag.text, place, tag.size, colour.ink());
    }
    picture
}

/// The picture to draw on: the image, enlarged if it is small.
fn enlarge(pixels: &RgbImage, scale: &Scale) -> RgbImage {
    let target = TargetSize { width: scale.width, height: scale.height };
    let enlarged = resize(pixels.as_raw(), pixels.width(), pixels.height(), target).ok();
    enlarged
        .and_then(|rgb| RgbImage::from_raw(scale.width, scale.height, rgb.into_owned()))
        .unwrap_or_else(|| pixels.clone())
}

/// A tag for every box, in order, each at the first place around its box that is free, or the
/// freest.
fn tags(detections: &[Detection], scale: &Scale) -> Vec<Tag> {
    let mut placed: Vec<Tag> = Vec::with_capacity(detections.len());
    for detection in detections {
        let mut tag = tag(detection, scale);
        let overlap =
            |rect: &Rect| placed.iter().map(|other| rect.overlap(other.rect)).sum::<i64>();
        let mut best = i64::MAX;
        for place in places(scale.rect(detection), (tag.rect.x1, tag.rect.y1), scale) {
            let hidden = overlap(&place);
            if hidden < best {
                (best, tag.rect) = (hidden, place);
            }
            if best == 0 {
                break;
            }
        }
        placed.push(tag);
    }
    placed
}

/// The tag of a box, not placed yet: narrower text, and in the end less of it, if the picture is
/// too narrow.
fn tag(detection: &Detection, scale: &Scale) -> Tag {
    const SMALLEST: f32 = 11.0;
    let words = match detection.score {
        Some(score) => format!("{} {score:.2}", detection.label),
        None => detection.label.clone(),
    };
    let widest = scale.width as f32;
    let mut size = scale.text;
    let needed = text::width(&words, size) + 0.6 * size;
    if needed > widest {
        size = (size * widest / needed).max(SMALLEST);
    }
    let padding = 0.3 * size;
    let words = text::fit(&words, size, widest - 2.0 * padding);
    let width = (text::width(&words, size) + 2.0 * padding).ceil().min(widest) as i64;
    let height = (size * text::LINE_HEIGHT).ceil().min(scale.height as f32) as i64;
    Tag { text: words, size, padding, rect: Rect { x0: 0, y0: 0, x1: width, y1: height } }
}

/// Candidate positions of a tag, the best first: above the box, below it, in its corners, then
/// further and further down its left edge. Each is moved far enough to stay in the picture.
fn places(bbox: Rect, (width, height): (i64, i64), scale: &Scale) -> impl Iterator<Item = Rect> {
    const STEPS: i64 = 8;
    let bbox = bbox.grown(scale.line / 2);
    let (right, bottom) = (i64::from(scale.width) - width, i64::from(scale.height) - height);
    let above = bbox.y0 - height;
    let corners = [
        (bbox.x0, above),
        (bbox.x0, bbox.y1),
        (bbox.x0, bbox.y0),
        (bbox.x1 - width, above),
        (bbox.x1 - width, bbox.y1),
        (bbox.x1 - width, bbox.y1 - height),
    ];
    let down = (1..=STEPS).map(move |step| (bbox.x0, bbox.y0 + step * height));
    corners.into_iter().chain(down).map(move |(x, y)| {
        let (x0, y0) = (x.clamp(0, right.max(0)), y.clamp(0, bottom.max(0)));
        Rect { x0, y0, x1: x0 + width, y1: y0 + height }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::BBox;

    fn detection(bbox: [f64; 4], label: &str) -> Detection {
        Detection { score: Some(0.987), ..Detection::new(label.to_owned(), BBox::from(bbox)) }
    }

    fn inside_picture(rect: Rect, scale: &Scale) -> bool {
        rect.x0 >= 0
            && rect.y0 >= 0
            && rect.x1 <= i64::from(scale.width)
            && rect.y1 <= i64::from(scale.height)
    }

    #[test]
    fn lines_and_text_grow_with_the_image_and_small_ones_are_enlarged() {
        let scale = Scale::of(4000, 3000);
        assert_eq!((scale.enlarged, scale.line), (1, 13));
        assert!(scale.text > 70.0);
        assert_eq!(Scale::of(384, 384).enlarged, 2);
        assert_eq!((Scale::of(1, 1).width, Scale::of(1, 1).enlarged), (720, 720));
        assert_eq!(Scale::of(48, 2000).width, 192);
        assert_eq!(Scale::of(70_000, 10).enlarged, 1);
        assert!(Scale::of(3, 9000).height <= 16_384);
    }

    #[test]
    fn tags_stay_in_the_picture() {
        let long =
            "a label that is far longer than any picture of this size could ever hold on one line";
        for (width, height) in [(1, 1), (30, 2000), (2000, 30), (640, 480), (4000, 3000)] {
            let scale = Scale::of(width, height);
            let (w, h) = (f64::from(width), f64::from(height));
            let whole = [0.0, 0.0, w, h];
            let corner = [w * 0.99, h * 0.99, w, h];
            let detections =
                [detection(whole, "x"), detection(corner, "star"), detection(whole, long)];
            for tag in tags(&detections, &scale) {
                assert!(inside_picture(tag.rect, &scale), "{width}x{height}: {tag:?}");
                assert!(
                    text::width(&tag.text, tag.size) <= (tag.rect.x1 - tag.rect.x0) as f32,
                    "{tag:?}"
                );
            }
        }
    }

    #[test]
    fn tags_of_boxes_in_one_place_do_not_hide_each_other() {
        let scale = Scale::of(1000, 800);
        let detections: Vec<Detection> = (0..6)
            .map(|index| detection([200.0, 200.0, 600.0, 600.0 + f64::from(index)], "red circle"))
            .collect();
        let placed = tags(&detections, &scale);
        for (index, tag) in placed.iter().enumerate() {
            assert!(
                placed[..index].iter().all(|other| tag.rect.overlap(other.rect) == 0),
                "{index}"
            );
        }
    }

    #[test]
    fn a_picture_shows_the_box_in_its_colour_and_changes_nothing_else() {
        let mut record = Record::failed("a.png".into(), String::new());
        (record.width, record.height, record.status) = (800, 800, AnswerStatus::Ok);
        record.detections = vec![detection([300.0, 300.0, 500.0, 500.0], "star")];
        let colours = HashMap::from([("star", colour(0))]);
        let grey = RgbImage::from_pixel(800, 800, image::Rgb([128; 3]));
        let picture = draw(&record, &grey, &colours);
        assert_eq!(picture.get_pixel(300, 400).0, colour(0).0);
        assert_eq!(picture.get_pixel(400, 400).0, [128; 3]);
        assert_eq!(picture.get_pixel(100, 700).0, [128; 3]);
        assert_eq!(picture, draw(&record, &grey, &colours));
    }

    #[test]
    fn pictures_keep_folders_and_never_share_a_path() {
        let picture = RgbImage::new(1, 1);
        let path = |image: &str| name(image, &picture);
        assert_eq!(path("sub/photo.png"), "sub/photo.png_boxes.jpg");
        assert_ne!(path("photo.png"), path("photo.jpg"));
        assert!(!path("../../photo.png").contains(".."));
    }
}
