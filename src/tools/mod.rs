//! L5: what may be called, declared by manifests.
