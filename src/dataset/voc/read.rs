//! A folder of Pascal VOC to a [`Dataset`].
//!
//! In: a directory with `Annotations/*.xml` (or of XML files), and `ImageSets/Main/*.txt` if there
//! are splits. Out: a [`Dataset`]. Promises: an error names the file and the line; categories are
//! sorted by name; a `<filename>` that names nothing does not hide the image beside it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use roxmltree::{Document, Node};

use super::super::counted::counted;
use super::super::reading::{
    Reading, files_under, find_image, images_under, remark_undescribed, size_of, stem,
};
use super::super::xml;
use super::super::{Dataset, DatasetError, Image, Object, Split, Splits};
use crate::files;
use crate::record::BBox;

/// A box as it stands in a file.
struct Found {
    name: String,
    /// `xmin`, `ymin`, `xmax`, `ymax`.
    corners: [f64; 4],
    difficult: bool,
}

/// The content of one file.
struct File {
    /// Its path below the annotations, without the extension.
    stem: String,
    /// The image's name, from `<filename>`, in the folder of the file; absent if there is none.
    stated: Option<String>,
    /// In pixels; absent if there is none.
    size: Option<(u32, u32)>,
    objects: Vec<Found>,
}

/// Names of image files, by what they are called without the extension.
struct ImageFiles<'r> {
    folders: Vec<&'r Path>,
    by_stem: HashMap<String, String>,
    /// By the last part of their names, if that tells them apart.
    by_base: HashMap<String, Option<String>>,
    names: HashSet<String>,
}

impl<'r> ImageFiles<'r> {
    fn under(folders: Vec<&'r Path>, remarks: &mut Vec<String>) -> Result<Self, DatasetError> {
        let (mut by_stem, mut names) = (HashMap::new(), HashSet::new());
        let mut by_base: HashMap<String, Option<String>> = HashMap::new();
        for folder in folders.iter().filter(|folder| folder.is_dir()) {
            for name in images_under(folder, remarks)? {
                by_stem.entry(stem(&name).to_owned()).or_insert_with(|| name.clone());
                let known = by_base.entry(base(&name).to_owned());
                let known = known.or_insert_with(|| Some(name.clone()));
                *known = known.take().filter(|known| *known == name);
                names.insert(name);
            }
        }
        Ok(Self { folders, by_stem, by_base, names })
    }
}

pub(in super::super) fn read(
    path: &Path,
    reading: &mut Reading<'_>,
) -> Result<Dataset, DatasetError> {
    let annotations = ["Annotations", "annotations"].map(|folder| path.join(folder));
    let annotations = annotations.into_iter().find(|folder| folder.is_dir());
    let annotations = annotations.unwrap_or_else(|| path.to_owned());
    let names = files_under(&annotations, &["xml"])?;
    if names.is_empty() {
        return Err(DatasetError::file(&annotations, "no .xml files"));
    }
    let beside = ["JPEGImages", "images"].map(|folder| path.join(folder));
    let folders = reading.images.into_iter().chain(beside.iter().map(PathBuf::as_path));
    let folders = folders.chain([annotations.as_path()]);
    let image_files = ImageFiles::under(folders.collect(), reading.remarks)?;
    let (mut files, mut lost) = (Vec::with_capacity(names.len()), Lost::default());
    for name in &names {
        let file = read_file(&annotations, name, &mut lost, reading);
        files.extend(reading.caught(file, "files that are no annotations of VOC")?);
    }
    lost.remark(reading.remarks);
    if annotations != path {
        let all = files_under(path, &["xml"])?.len();
        if all > names.len() {
            reading.remarks.push(format!(
                "{} not below {}: left out",
                counted(all - names.len(), "file .xml is", "files .xml are"),
                annotations.display()
            ));
        }
    }
    let image_names = image_names(&files, &image_files, &annotations, reading);
    let (mut images, mut found, mut stems) = (Vec::new(), Vec::new(), HashMap::new());
    for (file, name) in files.into_iter().zip(image_names) {
        let Some(name) = name else { continue };
        let image = find_image(&name, &image_files.folders);
        let xml = annotations.join(file.stem.clone() + ".xml");
        let (width, height) = match (file.size, &image) {
            (Some(size), _) => size,
            (None, Some(image)) => {
                match reading.caught(size_of(image), "images that cannot be read")? {
                    Some(size) => size,
                    None => continue,
                }
            }
            (None, None) => {
                let problem = format!(
                    "no size, and {name} is not there to look: say with `images` in which \
                             folder it is"
                );
                reading.problem(&xml, Some(1), "images of which nobody knows the size", problem);
                continue;
            }
        };
        stems.insert(file.stem, images.len());
        images.push(Image { name, width, height, file: image, ..Image::default() });
        found.push(file.objects);
    }
    let read: HashSet<&str> = images.iter().map(|image: &Image| image.name.as_str()).collect();
    remark_undescribed(&image_files.names, &read, ".xml file", reading.remarks);
    if !path.join("ImageSets/Main").is_dir() {
        splits_by_folders(&stems, &mut images);
    }
    read_splits(path, &stems, &mut images, reading.remarks)?;
    let all = || found.iter().flatten();
    let from_zero = all().any(|object| object.corners[0] == 0.0 || object.corners[1] == 0.0);
    if from_zero {
        reading.remarks.push(
            "some boxes begin at 0: pixels are taken to count from 0, not from 1 as VOC's do"
                .into(),
        );
    }
    let first = if from_zero { 0.0 } else { 1.0 };
    let names: BTreeSet<&str> = all().map(|object| object.name.as_str()).collect();
    let categories: Vec<String> = names.into_iter().map(str::to_owned).collect();
    let mut difficult = 0;
    for (image, objects) in images.iter_mut().zip(&found) {
        for object in objects {
            let [xmin, ymin, x1, y1] = object.corners;
            let Some(bbox) = reading.inside(
                BBox { x0: xmin - first, y0: ymin - first, x1, y1 },
                image.width,
                image.height,
            ) else {
                continue;
            };
            // Every name is among the categories, which were made from them.
            let category = categories.binary_search(&object.name).unwrap_or(0);
            difficult += usize::from(object.difficult);
            let crowd = object.difficult;
            image.objects.push(Object { crowd, ..Object::of_box(category, bbox) });
        }
    }
    if difficult > 0 {
        reading.remarks.push(format!(
            "{} \"difficult\", which counts as a crowd: neither for nor against",
            counted(difficult, "box is", "boxes are")
        ));
    }
    Ok(Dataset { categories, images, ..Dataset::default() })
}

/// The name of each file's image. `<filename>` counts if it names an image that is there, or if no
/// image is there; else it is left from before the images were renamed, and the file's own name
/// counts.
fn image_names(
    files: &[File],
    images: &ImageFiles<'_>,
    annotations: &Path,
    reading: &mut Reading<'_>,
) -> Vec<Option<String>> {
    let mut claims: HashMap<&str, usize> = HashMap::new();
    for stated in files.iter().filter_map(|file| file.stated.as_deref()) {
        *claims.entry(stated).or_default() += 1;
    }
    let (mut stale, mut names) = (0, Vec::with_capacity(files.len()));
    for file in files {
        let own = images.by_stem.get(&file.stem);
        let is_there = |stated: &&String| own.is_some() || images.names.contains(*stated);
        let elsewhere = file.stated.as_ref().filter(|stated| !is_there(stated));
        let elsewhere = elsewhere.and_then(|stated| images.by_base.get(base(stated))?.clone());
        if let Some(elsewhere) = elsewhere {
            names.push(Some(elsewhere));
            continue;
        }
        let name = match (&file.stated, own) {
            (Some(stated), _)
                if stem(stated) == file.stem
                    && (images.names.contains(stated) || own.is_none()) =>
            {
                stated.clone()
            }
            (Some(stated), _) if images.names.contains(stated) && claims[stated.as_str()] == 1 => {
                stated.clone()
            }
            (_, Some(own)) => own.clone(),
            // Several files cannot be about one image that is gone.
            (Some(stated), None)
                if claims[stated.as_str()] > 1 && !images.names.contains(stated) =>
            {
                format!("{}{}", file.stem, &stated[stem(stated).len()..])
            }
            (Some(stated), None) => stated.clone(),
            (None, None) => {
                let problem = format!("no <filename>, and no image is called {}", file.stem);
                let xml = annotations.join(file.stem.clone() + ".xml");
                reading.problem(&xml, Some(1), "files that name no image", problem);
                names.push(None);
                continue;
            }
        };
        stale += usize::from(file.stated.as_ref().is_some_and(|stated| *stated != name));
        names.push(Some(name));
    }
    if stale > 0 {
        let stale = counted(stale, "file names", "files name");
        reading.remarks.push(format!(
            "{stale} an image in <filename> that is not there, or that another file is about: the \
             file's own name counts"
        ));
    }
    names
}

/// Puts images into the splits that the folders of their files are called by, as Roboflow lays them
/// out, if all lie in such folders.
fn splits_by_folders(stems: &HashMap<String, usize>, images: &mut [Image]) {
    let of = |stem: &String| Split::of_word(stem.split_once('/')?.0);
    if stems.keys().all(|stem| of(stem).is_some()) {
        for (stem, place) in stems {
            if let Some(split) = of(stem) {
                images[*place].splits.add(split);
            }
        }
    }
}

/// Puts images into the splits that `ImageSets/Main` names. `stems` says which image each file is
/// about.
fn read_splits(
    path: &Path,
    stems: &HashMap<String, usize>,
    images: &mut [Image],
    remarks: &mut Vec<String>,
) -> Result<(), DatasetError> {
    let mut unknown = 0;
    let lists = Split::ALL.map(|split| (vec![split], split.as_str()));
    // An image that is only in this list belongs to one of the two splits, but the list does not
    // say which.
    for (splits, name) in lists.into_iter().chain([(vec![Split::Train, Split::Val], "trainval")]) {
        let list = path.join("ImageSets/Main").join(format!("{name}.txt"));
        if !list.is_file() {
            continue;
        }
        let text = files::read_text(&list).map_err(DatasetError::io(&list))?;
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            // Some tools write the image's name, or a number behind it.
            let word = line.split_whitespace().next().unwrap_or(line);
            let forms = [line, line.trim(), stem(line.trim()), word, stem(word)];
            let Some(place) = forms.into_iter().find_map(|form| stems.get(form)) else {
                unknown += 1;
                continue;
            };
            let image = &mut images[*place];
            if splits.len() == 1 || image.splits == Splits::default() {
                for split in &splits {
                    image.splits.add(*split);
                }
            }
        }
    }
    let others = other_lists(&path.join("ImageSets/Main"));
    if let [first, more @ ..] = others.as_slice() {
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        remarks.push(format!(
            "the lists {first}{more} of ImageSets/Main are left out: splits are train, val, test \
             and trainval"
        ));
    }
    let entries = std::fs::read_dir(path.join("ImageSets")).into_iter().flatten().flatten();
    let folders = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut folders: Vec<String> = folders.filter(|folder| folder != "Main").collect();
    folders.sort();
    if !folders.is_empty() {
        let folders = folders.join(", ");
        remarks.push(format!("{folders} of ImageSets: left out, splits are those of Main"));
    }
    if unknown > 0 {
        let unknown =
            counted(unknown, "line of ImageSets/Main names", "lines of ImageSets/Main name");
        remarks.push(format!("{unknown} no file of Annotations"));
    }
    Ok(())
}

/// The lists in `folder` that are no splits which are known, and not those of a class of one
/// (`cat_train.txt`).
fn other_lists(folder: &Path) -> Vec<String> {
    let known = |name: &str| {
        let split = name.rsplit('_').next().unwrap_or(name);
        split == "trainval" || Split::ALL.iter().any(|known| known.as_str() == split)
    };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut others: Vec<String> =
        names.filter(|name| name.strip_suffix(".txt").is_some_and(|name| !known(name))).collect();
    others.sort();
    others
}

/// What of the files is left out.
#[derive(Default)]
struct Lost {
    parts: usize,
    second_boxes: usize,
    second_names: usize,
    /// Objects with a tag that is not kept, by the tag.
    further: BTreeMap<String, usize>,
}

impl Lost {
    fn remark(&self, remarks: &mut Vec<String>) {
        for (count, what) in [
            (self.parts, "parts of objects (<part>: heads, hands) are left out"),
            (self.second_boxes, "objects have a second <bndbox>, which is left out"),
            (self.second_names, "objects have a second <name>, which is left out"),
        ] {
            if count > 0 {
                remarks.push(format!("{count} {what}"));
            }
        }
        for (tag, count) in &self.further {
            let objects = counted(*count, "object has", "objects have");
            remarks.push(format!("{objects} the tag <{tag}>, which is not kept"));
        }
    }
}

fn read_file(
    root: &Path,
    file: &str,
    lost: &mut Lost,
    reading: &mut Reading<'_>,
) -> Result<File, DatasetError> {
    let path = root.join(file);
    let text = xml::read(&path)?;
    let document = Document::parse(&text)
        .map_err(|error| DatasetError::line(&path, error.pos().row as usize, error.to_string()))?;
    let annotation = document.root_element();
    let problem = |node: Node<'_, '_>, problem: String| {
        let line = document.text_pos_at(node.range().start).row as usize;
        DatasetError::line(&path, line, problem)
    };
    let number = |node: Node<'_, '_>, tag: &str| -> Result<f64, DatasetError> {
        let text = text_of(node, tag).ok_or_else(|| problem(node, format!("no <{tag}>")))?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| problem(node, format!("<{tag}> is {text:?}, not a number")))
    };
    if !is_called(annotation, "annotation") {
        let tag = annotation.tag_name().name();
        return Err(problem(annotation, format!("<{tag}> instead of VOC's <annotation>")));
    }
    // Only the last part: tools write whole paths of the machine where the box was drawn. Folders
    // are those of the XML file.
    let stated = text_of(annotation, "filename").map(|text| {
        let is_address = text.contains("://");
        let text = text.split(['?', '#']).next().filter(|_| is_address).unwrap_or(&text);
        let base = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let folder = file.rsplit_once('/').map(|(folder, _)| format!("{folder}/"));
        folder.unwrap_or_default() + base
    });
    let size = child(annotation, "size");
    let pixels = |tag| match size {
        Some(size) => {
            number(size, tag).map(|length| length.round().clamp(0.0, f64::from(u32::MAX)) as u32)
        }
        None => Ok(0),
    };
    let size = (pixels("width")?, pixels("height")?);
    let size = Some(size).filter(|(width, height)| *width > 0 && *height > 0);
    let mut objects = Vec::new();
    for object in annotation.children().filter(|child| is_called(*child, "object")) {
        let count = |tag| object.children().filter(|child| is_called(*child, tag)).count();
        lost.parts += count("part");
        lost.second_boxes += count("bndbox").saturating_sub(1);
        lost.second_names += count("name").saturating_sub(1);
        for tag in further_tags(object) {
            *lost.further.entry(tag).or_default() += 1;
        }
        let read = || {
            let bndbox = child(object, "bndbox")
                .ok_or_else(|| problem(object, "<object> without <bndbox>".into()))?;
            let corners = [
                number(bndbox, "xmin")?,
                number(bndbox, "ymin")?,
                number(bndbox, "xmax")?,
                number(bndbox, "ymax")?,
            ];
            if corners[2] < corners[0] || corners[3] < corners[1] {
                return Err(problem(bndbox, format!("<bndbox> is inside out: {corners:?}")));
            }
            let difficult = text_of(object, "difficult")
                .is_some_and(|text| text == "1" || text.eq_ignore_ascii_case("true"));
            let name = text_of(object, "name")
                .ok_or_else(|| problem(object, "<object> without a <name>".into()))?;
            Ok(Found { name, corners, difficult })
        };
        objects.extend(reading.caught(read(), "objects without a name or a box that is one")?);
    }
    Ok(File { stem: stem(file).to_owned(), stated, size, objects })
}

/// Whether it is a tag of that name, in small or capital letters.
fn is_called(node: Node<'_, '_>, tag: &str) -> bool {
    node.is_element() && node.tag_name().name().eq_ignore_ascii_case(tag)
}

fn child<'d, 'i>(node: Node<'d, 'i>, tag: &str) -> Option<Node<'d, 'i>> {
    node.children().find(|child| is_called(*child, tag))
}

/// The text of a child, without comments in it; `None` if there is none.
fn text_of(node: Node<'_, '_>, tag: &str) -> Option<String> {
    let texts =
        child(node, tag)?.children().filter_map(|part| part.text().filter(|_| part.is_text()));
    let text: String = texts.collect();
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The tags of an object that say something which no box has a word for.
fn further_tags(object: Node<'_, '_>) -> Vec<String> {
    const KNOWN: [&str; 6] = ["name", "bndbox", "part", "difficult", "id", "type"];
    let says = |tag: &Node<'_, '_>| {
        let text = tag.text().unwrap_or_default().trim().to_ascii_lowercase();
        let nothing = ["", "0", "false", "unspecified", "unknown"].contains(&text.as_str());
        !nothing || tag.children().any(|child| child.is_element())
    };
    let known = |tag: &Node<'_, '_>| KNOWN.iter().any(|known| is_called(*tag, known));
    let tags = object.children().filter(|tag| tag.is_element() && !known(tag) && says(tag));
    let mut tags: Vec<String> =
        tags.map(|tag| tag.tag_name().name().to_ascii_lowercase()).collect();
    tags.sort();
    tags.dedup();
    tags
}

/// The last part of a name.
fn base(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}
