//! Sets the only switch there is for it: no feature, so that nobody gets it by accident.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-check-cfg=cfg(loom, fuzzing, semring_unannounced)");
    println!("cargo::rustc-cfg=semring_unannounced");
}
