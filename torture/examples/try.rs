fn main() {
    let a: Vec<String> = std::env::args().collect();
    semring_torture::try_it(&a[1], a[2].parse().unwrap(), &a[3]);
}
