//! The asynchronous way in: admission under one byte budget, and acknowledgements to await.
