//! A project's labelling configuration.
//!
//! In: its XML. Out: the labels of its boxes, the names of the two tags that a result names, and
//! the field of a task that holds the image. Promises: a configuration without boxes on an image
//! is an error that says what is missing.

use roxmltree::{Document, Node};

use crate::record::{Task, distinct};

/// The most bytes of a configuration: thousands of labels.
const MAX_CONFIGURATION: usize = 256 << 10;

/// The part of a configuration that boxes need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configuration {
    /// The name of the tag with the labels.
    pub(super) from_name: String,
    /// The name of the tag with the image.
    pub(super) to_name: String,
    /// The field of a task's data.
    pub(super) field: String,
    /// The labels, as results name them.
    pub(super) labels: Vec<String>,
}

impl Configuration {
    /// Reads a configuration.
    ///
    /// # Errors
    /// What is missing, in words.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_CONFIGURATION {
            return Err(format!(
                "the labelling configuration is longer than {} kB",
                MAX_CONFIGURATION >> 10
            ));
        }
        let document = Document::parse(text)
            .map_err(|error| format!("the labelling configuration is no XML: {error}"))?;
        let tags = |name: &'static str| {
            document.descendants().filter(move |node| node.tag_name().name() == name)
        };
        let images: Vec<_> = tags("Image").collect();
        for tag in tags("RectangleLabels") {
            let (Some(from_name), Some(to_name)) = (tag.attribute("name"), tag.attribute("toName"))
            else {
                continue;
            };
            let image = images.iter().find(|image| image.attribute("name") == Some(to_name));
            let value = image.and_then(|image| image.attribute("value"));
            let Some(field) = value.and_then(|value| value.strip_prefix('$')) else { continue };
            let labels = tag.descendants().filter(|node| node.tag_name().name() == "Label");
            let labels: Vec<&str> = labels.filter_map(|label| name_of(&label)).collect();
            let labels = distinct(labels.into_iter());
            if labels.is_empty() {
                return Err(format!("<RectangleLabels name={from_name:?}> has no <Label value>"));
            }
            let (from_name, to_name) = (from_name.to_owned(), to_name.to_owned());
            return Ok(Self { from_name, to_name, field: field.to_owned(), labels });
        }
        Err("the labelling configuration has no <RectangleLabels name toName> for an <Image name \
             value=\"$field\">"
            .to_owned())
    }

    /// What the model is asked.
    pub(super) fn task(&self) -> Task {
        Task::Labels(self.labels.clone())
    }
}

/// A label as results name it.
fn name_of<'t>(label: &Node<'t, '_>) -> Option<&'t str> {
    label.attribute("alias").or_else(|| label.attribute("value"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_and_names_are_those_of_the_configuration() {
        let text = r#"<View>
            <Text name="t" value="$note"/><Choices name="c" toName="pic"><Choice value="x"/></Choices>
            <Image name="pic" value="$photo" zoom="true"/>
            <RectangleLabels name="boxes" toName="pic">
              <Label value="Dog &amp; Co" background="red"/><View><Label value="Cat" alias="cat"/></View>
            </RectangleLabels></View>"#;
        let read = Configuration::parse(text).unwrap();
        assert_eq!((read.from_name.as_str(), read.to_name.as_str()), ("boxes", "pic"));
        assert_eq!((read.field.as_str(), read.labels.len()), ("photo", 2));
        assert_eq!(read.labels, ["Dog & Co", "cat"]);
    }

    #[test]
    fn what_is_missing_is_said() {
        for (text, says) in [
            ("<View", "no XML"),
            ("<View><Image name='i' value='$image'/></View>", "no <RectangleLabels"),
            (
                "<View><Image name='i' value='$image'/><RectangleLabels name='l' toName='i'/></View>",
                "no <Label value>",
            ),
            (
                "<View><RectangleLabels name='l' toName='i'><Label value='a'/></RectangleLabels></View>",
                "for an <Image",
            ),
        ] {
            let error = Configuration::parse(text).unwrap_err();
            assert!(error.contains(says), "{error}");
        }
        let error = Configuration::parse(&" ".repeat(MAX_CONFIGURATION + 1)).unwrap_err();
        assert!(error.contains("256 kB"), "{error}");
    }
}
