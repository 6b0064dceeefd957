//! Layers of settings: a setting that one leaves out comes from the next.

/// Settings that can each be left out.
pub trait Layer: Sized {
    /// These settings, completed by those of `base`.
    #[must_use]
    fn over(self, base: Self) -> Self;

    /// Adds the names of all settings; `name` is that of a single one.
    fn add_keys(name: &'static str, keys: &mut Vec<&'static str>);
}

impl<T> Layer for Option<T> {
    fn over(self, base: Self) -> Self {
        self.or(base)
    }

    fn add_keys(name: &'static str, keys: &mut Vec<&'static str>) {
        keys.push(name);
    }
}

impl<T> Layer for Vec<T> {
    fn over(self, base: Self) -> Self {
        if self.is_empty() { base } else { self }
    }

    fn add_keys(name: &'static str, keys: &mut Vec<&'static str>) {
        keys.push(name);
    }
}

/// A switch: once it is on, no layer turns it off.
impl Layer for bool {
    fn over(self, base: Self) -> Self {
        self || base
    }

    fn add_keys(name: &'static str, keys: &mut Vec<&'static str>) {
        keys.push(name);
    }
}

/// Structs whose fields are layers: they are a [`Layer`], read from TOML, and flags in a build that
/// has a command line.
macro_rules! layers {
    ($($(#[$meta:meta])* pub struct $name:ident {
        $($(#[$of_field:meta])* pub $field:ident: $type:ty,)*
    })*) => {$(
        #[derive(Debug, Clone, Default, serde::Deserialize)]
        #[cfg_attr(feature = "cli", derive(clap::Args))]
        #[serde(default)]
        $(#[$meta])*
        pub struct $name {
            $($(#[$of_field])* pub $field: $type,)*
        }

        impl $crate::session::pipeline::layer::Layer for $name {
            fn over(self, base: Self) -> Self {
                Self { $($field: self.$field.over(base.$field),)* }
            }

            fn add_keys(_name: &'static str, keys: &mut Vec<&'static str>) {
                use $crate::session::pipeline::layer::Layer;
                $(<$type as Layer>::add_keys(stringify!($field), keys);)*
            }
        }
    )*};
}

pub(super) use layers;
