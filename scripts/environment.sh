# shellcheck shell=bash
# To be sourced: Python with packages of its own, in the build's folder.

# python_with NAME PACKAGES...: prints the Python of the virtual environment of that name, made when it is
# first asked for. Each of PACKAGES is one word or several, which pip gets together. Fails if one cannot be
# had; with `optional=1` it says so and goes on without.
python_with() {
  local folder package
  folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/$1
  shift
  if [[ ! -e $folder/complete ]]; then
    echo "${0##*/}: installing $* into $folder" >&2
    python3 -m venv "$folder" >&2 || return 1
    for package in "$@"; do
      # shellcheck disable=SC2086
      "$folder/bin/pip" install --quiet $package >&2 || {
        echo "${0##*/}: not to be had here: $package" >&2
        if [[ ! ${optional-} ]]; then return 1; fi
      }
    done
    touch "$folder/complete"
  fi
  echo "$folder/bin/python"
}
