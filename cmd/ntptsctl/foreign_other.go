//go:build !unix

package main

func foreign(string) bool { return false }
