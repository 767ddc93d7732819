# syntax=docker/dockerfile:1
# securemcp in an image with nothing else: no shell, no package manager, an account that is not root.

# Debian 12 as below: what is compiled here finds the C library that it knows.
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY benches/peers benches/peers
COPY src src
RUN cargo build --profile dist --locked --bin securemcp

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/securemcp /usr/local/bin/securemcp
# The home of 65532, and the only place that is written.
WORKDIR /home/nonroot
ENV SECUREMCP_STATE_DIR=/home/nonroot/securemcp
USER 65532:65532
EXPOSE 8000
# Live and not ready: who restarts what is not healthy must not restart it because the issuer is away.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s \
    CMD ["/usr/local/bin/securemcp", "health", "--only", "live", "--quiet"]
ENTRYPOINT ["/usr/local/bin/securemcp"]
CMD ["serve"]
