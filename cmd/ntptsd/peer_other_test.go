//go:build !linux

package main

import "errors"

func peer(string) (pid int32, err error) { return 0, errors.ErrUnsupported }
