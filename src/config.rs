//! L8: firewarden.yaml.
