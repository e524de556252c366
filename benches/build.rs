//! Compiles the C++ peer, if it was asked for.

fn main() {
    #[cfg(feature = "boost")]
    {
        println!("cargo::rerun-if-changed=cpp/boost.cpp");
        cc::Build::new().cpp(true).std("c++14").opt_level(2).file("cpp/boost.cpp").compile("boost_queue");
        println!("cargo::rustc-link-lib=rt");
    }
}
