"""What can go wrong. Every message says what the library says."""


class GemscopeError(Exception):
    """The class of all errors of this package."""


class SettingsError(GemscopeError, ValueError):
    """A setting, a question or a rubric cannot be used."""


class ImageError(GemscopeError, ValueError):
    """An image cannot be read, or has no answer."""


class ModelError(GemscopeError):
    """A model cannot be found, loaded or run."""


class NeedsModelError(ModelError):
    """The bundled demo model was asked about something that it does not know."""


class OnnxRuntimeError(GemscopeError):
    """ONNX Runtime is not there, or not of a version that serves."""


class ServerError(GemscopeError):
    """A server cannot be reached, or cannot do what is asked."""


class RunError(GemscopeError):
    """A run cannot be read, written or gone on with."""


class ForkError(GemscopeError, RuntimeError):
    """The process was forked from one that had opened a model."""
