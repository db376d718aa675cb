//go:build !race

package ntp

const underRace = false
