//go:build !race

package nts

const underRace = false
