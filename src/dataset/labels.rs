//! Names of categories, as they are met.

use std::collections::HashMap;

use super::{Dataset, Image};

/// The categories of a dataset that is being read, of a format that knows them by their names.
#[derive(Default)]
pub(super) struct Labels {
    names: Vec<String>,
    places: HashMap<String, usize>,
}

impl Labels {
    /// The place of a name; a new one gets the next.
    pub(super) fn place(&mut self, name: &str) -> usize {
        if let Some(place) = self.places.get(name) {
            return *place;
        }
        self.names.push(name.to_owned());
        self.places.insert(name.to_owned(), self.names.len() - 1);
        self.names.len() - 1
    }

    /// The names, in the order in which they were met.
    pub(super) fn into_names(self) -> Vec<String> {
        self.names
    }
}

/// Sorts the categories of a dataset, of a format that has no order of its own: those of `first`, in
/// their order and whether there are such boxes or not, then the others by their names.
pub(super) fn sort_categories(dataset: &mut Dataset, first: &[String]) {
    let mut known = Labels::default();
    let mut others: Vec<&String> = dataset.categories.iter().collect();
    others.sort();
    for name in first.iter().chain(others) {
        known.place(name);
    }
    let places: Vec<usize> = dataset.categories.iter().map(|name| known.place(name)).collect();
    for category in dataset.images.iter_mut().flat_map(Image::categories_mut) {
        *category = places[*category];
    }
    dataset.categories = known.into_names();
}
