#!/bin/sh
# Generates the Python stubs into a scratch tree and then replaces the committed ones, so that nobody ever imports
# half a set. The old toolchain keeps the stubs importable for agents on protobuf 5 and 6.
# usage: BIN=<venv bin> PROTO_VENV=<venv of grpcio-tools> protos/generate.sh <output root>
set -eu
out=$1
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2046  # proto paths hold no spaces
"$PROTO_VENV/bin/python" -m grpc_tools.protoc -Iprotos -Ithird_party/protos \
    --plugin=protoc-gen-mypy_grpc="$BIN/protoc-gen-mypy_grpc" \
    --python_out="$scratch" --pyi_out="$scratch" --grpc_python_out="$scratch" --mypy_grpc_out=quiet:"$scratch" \
    $(find protos/aios -name '*.proto' | sort) third_party/protos/buf/validate/validate.proto
# Files without a service get empty grpc modules: leave those out.
find "$scratch" -name '*_pb2_grpc.py*' -exec grep -L Stub {} + | xargs -r rm -f
for tree in aios/api buf; do
    mkdir -p "$out/$tree"
    (cd "$out" && find "$tree" -name '*_pb2*.py*' -not -path '*/__pycache__/*') | while read -r old; do
        [ -e "$scratch/$old" ] || rm -f "$out/$old"
    done
    (cd "$scratch" && find "$tree" -name '*_pb2*.py*') | while read -r new; do
        mkdir -p "$out/$(dirname "$new")"
        cmp -s "$scratch/$new" "$out/$new" || mv "$scratch/$new" "$out/$new"
    done
done
# Ordinary packages, so that tools which read imports find them.
find "$out/aios/api" -type d -not -name __pycache__ | while read -r package; do
    echo '"""Generated from protos/ by `make protos`; never edited."""' > "$package/__init__.py"
done
