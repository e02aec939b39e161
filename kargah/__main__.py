from kargah.cli.main import app

app()
