# The image of configs/clusters/kuberay.yaml, in the versions of the lock file. torch brings its CUDA
# libraries. Triton compiles a launcher for each of its kernels at their first use, for which it needs gcc and
# the headers of libc; those of Python are in the base image.
FROM python:3.11-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends gcc libc6-dev make wget && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir -c requirements.lock .
WORKDIR /studies
