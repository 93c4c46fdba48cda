"""What tests, benchmarks and load tests share: servers, load, and what is asked of them."""
