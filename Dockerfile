# The coordinator alone, as a small image that runs without root. The tag of the first image is the pin of the toolchain here,
# and must be the one of rust-toolchain.toml.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
# Names of functions stay, for backtraces; their lines would make the image four times as large.
ENV CARGO_PROFILE_RELEASE_DEBUG=false
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked -p earnest-coordinator --bin earnest \
    && install -D target/release/earnest /out/earnest

FROM debian:bookworm-slim
RUN useradd --uid 10001 --home-dir /var/lib/earnest --create-home --shell /usr/sbin/nologin earnest
COPY --from=build /out/earnest /usr/local/bin/earnest
USER 10001
WORKDIR /var/lib/earnest
VOLUME /var/lib/earnest
# Inside a container loopback reaches nobody. Publish the port on the host's loopback, as docker-compose.yml does.
ENV EARNEST_LISTEN=0.0.0.0:7450 \
    EARNEST_DATABASE=/var/lib/earnest/earnest.db
EXPOSE 7450
ENTRYPOINT ["earnest"]
CMD ["serve"]
