"""One module a verb: ``run(config)`` does it, ``main(argv)`` reads the command line first."""
