from django.db import migrations, models
class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.AddField("order", "source", models.TextField(null=True)),
        migrations.RenameField("order", "total", "amount"),
        migrations.AddIndex("order", models.Index(fields=["source"], name="orders_source")),
    ]
