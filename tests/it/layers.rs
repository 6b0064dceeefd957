//! The rooms of the crate stand on each other in one direction, and so do the files.
//!
//! In: every file of `src`. Out: which room, and which file, uses which, by every path in it: those
//! of `use` and those in the code. What is built for tests alone is passed over.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Each room, and the rooms that it stands on: it may use these, and what they stand on.
///
/// From plain data up to the formats; beside them what computes; then the run, the session and its
/// callers.
const STANDS_ON: &[(&str, &[&str])] = &[
    ("record", &[]),
    ("files", &[]),
    ("gate", &[]),
    ("digest", &["files"]),
    ("ownership", &["digest"]),
    ("image_table", &["files"]),
    ("page", &["digest"]),
    ("ffmpeg", &[]),
    // Parts of addresses.
    ("percent", &[]),
    ("image", &["record", "files", "ffmpeg"]),
    ("answer", &["record", "files"]),
    // The project's HTTP client.
    ("http", &[]),
    ("source", &["ffmpeg", "http", "image", "ownership", "percent"]),
    ("frame_metadata", &["image", "image_table"]),
    ("preprocess", &["image"]),
    // The files of a run, and datasets.
    ("journal", &["source"]),
    ("dataset", &["source", "image_table", "page"]),
    ("critique", &["answer", "source"]),
    ("responses", &["answer", "source"]),
    // What computes, and what is fetched for it.
    ("hub", &["digest", "http", "percent"]),
    ("device", &[]),
    ("onnxruntime", &["device", "digest"]),
    ("prompt", &["record", "image_table"]),
    ("model", &["onnxruntime", "prompt", "preprocess", "hub"]),
    ("generate", &["model", "answer"]),
    ("server", &["http", "responses"]),
    ("engine", &["generate", "server"]),
    // Records to formats, and how good they are.
    (
        "export",
        &[
            "answer",
            "critique",
            "dataset",
            "frame_metadata",
            "gate",
            "journal",
            "page",
            "preprocess",
        ],
    ),
    ("eval", &["answer", "dataset", "journal", "page"]),
    // One task over many images, and the front door.
    ("run", &["critique", "engine", "frame_metadata", "gate", "journal"]),
    ("session", &["run", "export", "hub"]),
    ("serve", &["session"]),
    ("cli", &["serve", "eval", "responses"]),
    ("main", &["cli"]),
];

/// The rooms under `room`.
fn below(room: &str) -> BTreeSet<&'static str> {
    let Some((_, direct)) = STANDS_ON.iter().find(|(name, _)| *name == room) else {
        panic!("{room} is a new room: say in STANDS_ON what it stands on");
    };
    direct.iter().flat_map(|next| below(next).into_iter().chain([*next])).collect()
}

#[test]
fn rooms_use_what_stands_below_them() {
    for (place, (room, direct)) in STANDS_ON.iter().enumerate() {
        for next in *direct {
            assert!(
                STANDS_ON[..place].iter().any(|(known, _)| known == next),
                "{room} stands on {next}, which is above"
            );
        }
    }
    let modules = modules();
    let mut wrong = BTreeSet::new();
    for (path, module) in &modules {
        let Some(room) = path.first() else { continue };
        let below = below(room);
        for target in module.absolute_paths(path, &modules) {
            let Some(other) =
                target.first().filter(|other| modules.contains_key(&[(*other).clone()][..]))
            else {
                continue;
            };
            if other != room && !below.contains(other.as_str()) {
                wrong.insert(format!("{} uses {}", module.file, target.join("::")));
            }
        }
    }
    assert!(wrong.is_empty(), "not below them in STANDS_ON:\n{}", Vec::from_iter(wrong).join("\n"));
}

/// The file of a folder (`mod.rs`) is the face of the others in it: it hands out their items, says
/// what they share and calls them. Its paths into its own folder therefore count for nothing. A
/// path to an item that it only hands out counts as one to the file where the item is.
#[test]
fn files_use_each_other_in_one_direction() {
    let modules = modules();
    let mut uses: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (path, module) in &modules {
        let targets = module
            .absolute_paths(path, &modules)
            .into_iter()
            .filter_map(|target| home_of(&target, &modules));
        let targets = targets
            .filter(|target| !target.starts_with(path))
            .map(|target| modules[target].file.as_str());
        uses.insert(&module.file, targets.collect());
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        uses.keys().map(|file| (*file, reached(file, &uses))).collect();
    let circle = |a: &str, b: &str| reached[a].contains(b) && reached[b].contains(a);
    let mut lines = Vec::new();
    for (file, used) in &uses {
        lines.extend(
            used.iter()
                .filter(|other| circle(file, other))
                .map(|other| format!("{file} uses {other}")),
        );
    }
    assert!(lines.is_empty(), "these files use each other in a circle:\n{}", lines.join("\n"));
}

#[test]
fn paths_are_found_in_imports_and_in_code_and_not_in_tests() {
    let code = r##"
        //! [`crate::no`], "crate::no"
        use crate::{a, b::{self, C as D}};
        pub(crate) use child::Item;
        #[cfg(test)]
        use crate::no;
        fn f<'a>(x: &'a str) -> char { let _ = (r#"" crate::no"#, "\" crate::no", '"'); crate::d::e::<F>(); D::g(); '"' }
        #[cfg(test)]
        mod tests { use crate::no; fn f() { { crate::no::f() } } }
    "##;
    let mut modules = BTreeMap::new();
    let names: [&[&str]; 6] = [&["m"], &["m", "child"], &["a"], &["b"], &["d"], &["no"]];
    for name in names {
        modules
            .insert(owned(name), Module::of(String::new(), if name == ["m"] { code } else { "" }));
    }
    let found = modules[&owned(&["m"])].absolute_paths(&owned(&["m"]), &modules);
    let expected: [&[&str]; 6] =
        [&["a"], &["b"], &["b", "C"], &["b", "C", "g"], &["d", "e"], &["m", "child", "Item"]];
    assert_eq!(found, BTreeSet::from(expected.map(owned)));
    assert_eq!(home_of(&owned(&["m", "Item"]), &modules), Some(&owned(&["m", "child"])));
}

/// The names of a path, from the root of the crate.
type Names = Vec<String>;

fn owned(names: &[&str]) -> Names {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// One file.
struct Module {
    file: String,
    /// Paths of `use`, as written, with the names that they give.
    imports: Vec<(Names, String)>,
    /// Paths in the code, as written.
    paths: Vec<Names>,
    /// Names of modules that are there for tests alone.
    test_modules: Vec<String>,
}

impl Module {
    fn of(file: String, code: &str) -> Self {
        let mut module =
            Self { file, imports: Vec::new(), paths: Vec::new(), test_modules: Vec::new() };
        let tokens = tokens(code);
        let mut rest = tokens.as_slice();
        while let Some((token, after)) = rest.split_first() {
            rest = if let Some(item) = test_item(rest) {
                if let Some(name) = item.iter().position(|token| token == "mod") {
                    module.test_modules.push(item[name + 1].clone());
                }
                &rest[rest.len() - after_item(item).len()..]
            } else if token == "use" {
                let end = after.iter().position(|token| token == ";").unwrap_or(after.len());
                import(&[], &after[..end], &mut module.imports);
                &after[end..]
            } else if is_name(token) {
                let mut names = vec![token.clone()];
                let mut behind = after;
                while let [colons, name, more @ ..] = behind {
                    if colons != "::" || !is_name(name) {
                        break;
                    }
                    names.push(name.clone());
                    behind = more;
                }
                if names.len() > 1 {
                    module.paths.push(names);
                }
                behind
            } else {
                after
            };
        }
        module
    }

    /// All paths of the module at `path` into the crate.
    fn absolute_paths(&self, path: &[String], modules: &BTreeMap<Names, Self>) -> BTreeSet<Names> {
        let imported = self.imports.iter().filter_map(|(names, _)| absolute(names, path, modules));
        let used = self.paths.iter().filter_map(|names| {
            let alias = self.imports.iter().find(|(_, alias)| *alias == names[0]);
            match alias {
                Some((import, _)) => absolute(import, path, modules)
                    .map(|start| start.into_iter().chain(names[1..].iter().cloned()).collect()),
                None => absolute(names, path, modules),
            }
        });
        imported.chain(used).collect()
    }
}

/// `names` from the root of the crate, if they lead into it.
fn absolute(names: &[String], path: &[String], modules: &BTreeMap<Names, Module>) -> Option<Names> {
    let (first, rest) = names.split_first()?;
    match first.as_str() {
        "crate" | "gemscope" => Some(rest.to_vec()),
        "self" => Some([path, rest].concat()),
        "super" => {
            let ups = names.iter().take_while(|name| *name == "super").count();
            Some([&path[..path.len().checked_sub(ups)?], &names[ups..]].concat())
        }
        _ => {
            let child = [path, std::slice::from_ref(first)].concat();
            modules.contains_key(&child).then(|| [child.as_slice(), rest].concat())
        }
    }
}

/// The module where the item at `target` is.
fn home_of<'m>(target: &[String], modules: &'m BTreeMap<Names, Module>) -> Option<&'m Names> {
    let (module, item) = (0..=target.len()).rev().find_map(|length| {
        let (path, _) = modules.get_key_value(&target[..length])?;
        Some((path, &target[length..]))
    })?;
    let [name, rest @ ..] = item else { return Some(module) };
    let handed_out = modules[module].imports.iter().find(|(_, alias)| alias == name);
    match handed_out.and_then(|(import, _)| absolute(import, module, modules)) {
        Some(import) => home_of(&[import.as_slice(), rest].concat(), modules),
        None => Some(module),
    }
}

fn reached<'f>(file: &'f str, uses: &BTreeMap<&'f str, BTreeSet<&'f str>>) -> BTreeSet<&'f str> {
    let (mut reached, mut open) = (BTreeSet::new(), vec![file]);
    while let Some(file) = open.pop() {
        open.extend(uses[file].iter().filter(|next| reached.insert(**next)));
    }
    reached
}

/// Every file of `src`, but for those of tests.
fn modules() -> BTreeMap<Names, Module> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (mut modules, mut folders) = (BTreeMap::new(), vec![src.clone()]);
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let file = path.strip_prefix(&src).unwrap().to_string_lossy().replace('\\', "/");
                let mut names: Names =
                    file.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
                names.pop_if(|last| last == "mod" || last == "lib");
                modules.insert(names, Module::of(file, &fs::read_to_string(path).unwrap()));
            }
        }
    }
    let tests: Vec<Names> = modules
        .iter()
        .flat_map(|(path, module)| {
            module.test_modules.iter().map(|name| [path, std::slice::from_ref(name)].concat())
        })
        .collect();
    modules.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
    assert!(
        modules.len() > 200 && tests.len() > 3,
        "{} files, {} of tests",
        modules.len(),
        tests.len()
    );
    modules
}

/// The paths of a `use`, with the names that they give.
fn import(before: &[String], tree: &[String], imports: &mut Vec<(Names, String)>) {
    if let Some(open) = tree.iter().position(|token| token == "{") {
        let start: Names = before
            .iter()
            .chain(tree[..open].iter().filter(|token| *token != "::"))
            .cloned()
            .collect();
        let (mut depth, mut from) = (0, open + 1);
        for (place, token) in tree.iter().enumerate().skip(open) {
            depth += i32::from(token == "{") - i32::from(token == "}");
            if depth == 0 || (depth == 1 && token == ",") {
                import(&start, &tree[from..place], imports);
                from = place + 1;
            }
        }
    } else if !tree.is_empty() {
        let end = tree.iter().position(|token| token == "as");
        let mut names = before.to_vec();
        names.extend(
            tree[..end.unwrap_or(tree.len())].iter().filter(|token| *token != "::").cloned(),
        );
        let glob = names.pop_if(|last| last == "*");
        names.pop_if(|last| last == "self");
        let alias = match end {
            Some(end) => tree[end + 1].clone(),
            None => glob.or_else(|| names.last().cloned()).unwrap_or_default(),
        };
        imports.push((names, alias));
    }
}

/// What stands behind `#[cfg(test)]`, if the tokens begin with that.
fn test_item(tokens: &[String]) -> Option<&[String]> {
    let begins = |with: &[&str]| {
        tokens.iter().zip(with).filter(|(token, with)| token == with).count() == with.len()
    };
    (begins(&["#", "[", "cfg", "(", "test"]) || begins(&["#", "[", "cfg", "(", "all", "(", "test"]))
        .then(|| behind_attributes(tokens))
}

fn behind_attributes(mut tokens: &[String]) -> &[String] {
    while tokens.first().is_some_and(|token| token == "#") {
        tokens = &tokens
            [tokens.iter().position(|token| token == "]").map_or(tokens.len(), |end| end + 1)..];
    }
    tokens
}

/// What stands behind the first item of `tokens`.
fn after_item(tokens: &[String]) -> &[String] {
    let mut depth = 0;
    let ends = |token: &String| {
        depth += i32::from(matches!(token.as_str(), "{" | "(" | "["));
        depth -= i32::from(matches!(token.as_str(), "}" | ")" | "]"));
        depth == 0 && matches!(token.as_str(), "}" | ";" | ",")
    };
    tokens.iter().position(ends).map_or(&[], |end| &tokens[end + 1..])
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Names, `::` and single signs, without comments and without the content of texts.
fn tokens(code: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = code;
    while let Some(first) = rest.chars().next() {
        let name = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
        let raw = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r');
        let hashes = raw.map_or(0, |raw| raw.len() - raw.trim_start_matches('#').len());
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if let Some(raw) = raw.filter(|raw| raw[hashes..].starts_with('"')) {
            let text = &raw[hashes + 1..];
            let end = format!("\"{}", "#".repeat(hashes));
            rest.len() - text.len() + text.find(&end).unwrap_or(text.len()) + end.len()
        } else if first == '"' {
            quoted(rest, '"')
        } else if rest.starts_with("'\\") || (first == '\'' && rest.chars().nth(2) == Some('\'')) {
            quoted(rest, '\'')
        } else if name > 0 {
            tokens.push(rest[..name].to_owned());
            name
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(first.to_string());
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of a text or a character that `rest` begins with.
fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.map_or(rest.len(), |(place, _)| place + 1)
}
