# The image of configs/clusters/kuberay.yaml, in the versions of the lock file. torch brings its CUDA
# libraries.
FROM python:3.11-slim
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends make wget && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
RUN pip install --no-cache-dir -c requirements.lock .
WORKDIR /studies
